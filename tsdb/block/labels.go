package block

import (
	"encoding/binary"
	"fmt"

	"github.com/varve-db/varve/internal/fields"
	"github.com/varve-db/varve/series"
)

// A labels row of a sealed generation holds the sets of neighbouring series,
// front-coded:
//
//	shared  uvarint  bytes that the set has in common with the one before
//	suffix  uvarint length, then the rest of the set
//
// The key names the last one's ordinal.
type labelRow struct {
	row   []byte
	last  []byte
	count int
}

func (r *labelRow) reset() { r.row, r.last, r.count = r.row[:0], r.last[:0], 0 }

func (r *labelRow) add(ls series.Labels) {
	shared := 0
	for shared < len(ls) && shared < len(r.last) && ls[shared] == r.last[shared] {
		shared++
	}
	r.row = binary.AppendUvarint(r.row, uint64(shared))
	r.row = binary.AppendUvarint(r.row, uint64(len(ls)-shared))
	r.row = append(r.row, ls[shared:]...)
	r.last = append(r.last[:0], ls...)
	r.count++
}

// labelRowBytesMax bounds what a set of a row may decode to.
const labelRowBytesMax = 64 << 20

// eachLabels calls visit with the sets of a row, first to last; the set is valid
// until visit returns.
func eachLabels(row, buffer []byte, visit func(i int, ls series.Labels) error) ([]byte, error) {
	f := fields.New(row)
	for i := 0; f.Len() > 0; i++ {
		shared := f.Uvarint()
		suffix := f.Take(f.Uvarint())
		if f.Bad() || shared > uint64(len(buffer)) || len(suffix) > labelRowBytesMax {
			return buffer, fmt.Errorf("%w: labels row, set %d", ErrCorrupt, i)
		}
		buffer = append(buffer[:shared], suffix...)
		if err := visit(i, buffer); err != nil {
			return buffer, err
		}
	}
	return buffer, nil
}

// countLabels returns the number of sets in a row; one that is cut off counts.
func countLabels(row []byte) (n int) {
	for ; len(row) > 0; n++ {
		if len(row) >= 2 && row[0] < 0x80 && row[1] < 0x80 { // as most are
			row = row[min(2+int(row[1]), len(row)):]
			continue
		}
		f := fields.New(row)
		f.Uvarint()
		f.Take(f.Uvarint())
		row = row[len(row)-f.Len():]
	}
	return n
}
