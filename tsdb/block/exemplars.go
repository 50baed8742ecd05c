package block

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/head"
)

// An exemplars row holds, for each exemplar of a series in a flush,
//
//	timestamp  varint   less the window's start
//	value      8 B      float64 bits, little-endian
//	labels     uvarint length, then an encoded label set

func appendExemplars(dst []byte, start int64, exemplars []head.Exemplar) []byte {
	for _, x := range exemplars {
		dst = binary.AppendVarint(dst, x.Timestamp-start)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x.Value))
		dst = binary.AppendUvarint(dst, uint64(len(x.Labels)))
		dst = append(dst, x.Labels...)
	}
	return dst
}

// decodeExemplars appends to dst the exemplars of a row within [mint, maxt].
func decodeExemplars(dst []head.Exemplar, row []byte, start, mint, maxt int64) ([]head.Exemplar, error) {
	for len(row) > 0 {
		t, n := binary.Varint(row)
		if n <= 0 || len(row)-n < 8 {
			return dst, fmt.Errorf("%w: exemplars are cut off", ErrCorrupt)
		}
		value := math.Float64frombits(binary.LittleEndian.Uint64(row[n:]))
		ls, rest, ok := series.CutString(row[n+8:])
		if !ok || series.Labels(ls).Check() != nil {
			return dst, fmt.Errorf("%w: exemplar labels", ErrCorrupt)
		}
		if t += start; t >= mint && t <= maxt {
			dst = append(dst, head.Exemplar{Timestamp: t, Value: value, Labels: append(series.Labels(nil), ls...)})
		}
		row = rest
	}
	return dst, nil
}
