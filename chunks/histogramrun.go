package chunks

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/internal/fields"
)

// A chunk of EncHistogramColumns is a run of histograms of one series, of one
// kind, schema, zero threshold and custom bounds, as columns:
//
//	flags       u8       bit 0: counts are floats; bit 1: there are starts;
//	                     bits 2-3: the usual counter reset hint; bit 4: the
//	                     timestamps are here; others 0
//	times       uvarint column, uvarint offset; or, if bit 4 is set, 8 B each
//	schema      varint
//	threshold   8 B
//	custom      uvarint n, then n times 8 B
//	hints       uvarint n, then n times uvarint gap << 2 | hint: of the samples
//	            that have another than the usual one, with the samples between
//	layouts     uvarint n, then for each: uvarint samples, positive spans,
//	            negative spans as in a histogram record
//	sums        column of values
//	zero        column of integers, or of values for float counts
//	buckets     a column for each bucket of any of the layouts, ascending, positive
//	            ones first: integers, or values
//	counts      column of integers: what the count is above the total of the zero
//	            bucket and the others, modulo 2^64; for float counts the ordered
//	            bits of the count less those of the total
//	[starts]    column of start timestamps
//	checksum    u32      if bit 4 is clear: of all bytes before
//
// Columns are those of chunks/column, as long as the chunk has samples. A sample
// whose sum is a stale marker has neither buckets nor a hint nor a schema,
// whatever the columns and the run say, which repeat what is before it there.
const (
	runFloat      = 0x01
	runStarts     = 0x02
	runHint       = 2 // shift
	runTimesHere  = 0x10
	runFlagsKnown = 0x1f
)

// runCellsMax bounds the counts in buckets of a run, and so what decoding takes.
const runCellsMax = 1 << 20

// runClass is what all histograms of a run have in common.
type runClass struct {
	schema    int32
	threshold float64
	custom    []float64
}

func (c *runClass) equal(o *runClass) bool {
	if c.schema != o.schema || bitsOf(c.threshold) != bitsOf(o.threshold) || len(c.custom) != len(o.custom) {
		return false
	}
	for i, bound := range c.custom {
		if bitsOf(bound) != bitsOf(o.custom[i]) {
			return false
		}
	}
	return true
}

// known reports whether Prometheus's iterators give histograms of the schema as
// they are.
func (c *runClass) known() bool {
	return histogram.IsKnownSchema(c.schema) && c.schema <= histogram.ExponentialSchemaMax
}

// runLayout is which buckets the samples from first on have, up to the next
// layout.
type runLayout struct {
	first              int
	positive, negative []histogram.Span
	places             []int32 // of its buckets among the run's, positive ones first
}

// bucketIndexes appends the indexes of the buckets of spans to dst, which is
// empty. It reports whether they ascend and are at most most.
func bucketIndexes(dst []int64, spans []histogram.Span, most int) ([]int64, bool) {
	next := int64(0)
	for _, s := range spans {
		next += int64(s.Offset)
		if int64(s.Length) > int64(most-len(dst)) {
			return dst, false
		}
		for range s.Length {
			if n := len(dst); n > 0 && next <= dst[n-1] {
				return dst, false
			}
			dst = append(dst, next)
			next++
		}
	}
	return dst, true
}

// unite returns the ascending numbers of a and b, which ascend. It changes
// neither, and returns a if that has all of them.
func unite(a, b []int64) []int64 {
	missing, at := 0, 0
	for _, v := range b {
		for at < len(a) && a[at] < v {
			at++
		}
		if at == len(a) || a[at] != v {
			missing++
		}
	}
	if missing == 0 {
		return a
	}
	out := make([]int64, 0, len(a)+missing)
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return out
}

// placesIn appends where the numbers of part lie in all, which has them, plus
// shift.
func placesIn(dst []int32, all, part []int64, shift int) []int32 {
	at := 0
	for _, v := range part {
		for all[at] != v {
			at++
		}
		dst = append(dst, int32(at+shift))
	}
	return dst
}

// orderedBits maps the bits of a float to an integer of the same order, and back.
func orderedBits(b uint64) uint64 { return b ^ uint64(int64(b)>>63)>>1 }

// countAbove returns the integer that stands for a float count beside the total
// of its buckets, and countOf the count that it stands for. The bits of a NaN
// depend on the processor, so a total that is one counts as 0.
func countAbove(count, total float64) int64 {
	if math.IsNaN(total) {
		total = 0
	}
	return int64(orderedBits(bitsOf(count)) - orderedBits(bitsOf(total)))
}

func countOf(above int64, total float64) float64 {
	if math.IsNaN(total) {
		total = 0
	}
	return floatOf(orderedBits(orderedBits(bitsOf(total)) + uint64(above)))
}

// InlineTimes returns the row with the timestamps of runs of histograms in place
// of the references to columns, which times looks up; without that such a run
// cannot be read. The result is the row itself if it has none, or else appended
// to dst. base is the start of the partition's window.
func InlineTimes(dst, row []byte, base int64, times func(column.Slice) ([]int64, error)) ([]byte, error) {
	refers := false
	for rest := row; len(rest) > 0; {
		c, after, err := cutChunk(rest, base)
		if err != nil {
			return nil, err
		}
		refers = refers || c.refersToTimes()
		rest = after
	}
	if !refers {
		return row, nil
	}
	var data []byte
	for rest := row; len(rest) > 0; {
		c, after, err := cutChunk(rest, base)
		if err == nil && c.refersToTimes() {
			data, err = c.inlineTimes(data[:0], times)
			c.Data = data
		}
		if err != nil {
			return nil, err
		}
		dst = AppendChunk(dst, base, c)
		rest = after
	}
	return dst, nil
}

// refersToTimes reports whether c is a run whose timestamps are elsewhere.
func (c Chunk) refersToTimes() bool {
	return c.Encoding == EncHistogramColumns && len(c.Data) > 0 && c.Data[0]&runTimesHere == 0
}

// inlineTimes appends the data of c, which refers to timestamps, with these.
func (c Chunk) inlineTimes(dst []byte, times func(column.Slice) ([]int64, error)) ([]byte, error) {
	body, err := column.CutChecksum(c.Data)
	if err != nil {
		return dst, corrupt(c, err)
	}
	r := fields.New(body)
	flags, number, offset := r.Byte(), r.Uvarint(), r.Uvarint()
	if r.Bad() || number > math.MaxUint32 || offset > math.MaxUint32 {
		return dst, corrupt(c, fmt.Errorf("reference to timestamps"))
	}
	t, err := times(column.Slice{Column: uint32(number), Offset: uint32(offset), Length: uint32(c.Count)})
	if err != nil {
		return dst, err
	}
	if len(t) != c.Count || t[0] != c.MinTime || t[len(t)-1] != c.MaxTime {
		return dst, corrupt(c, fmt.Errorf("%d timestamps that are not its own", len(t)))
	}
	return append(appendRunTimes(dst, flags, t), r.Rest()...), nil
}

// appendRunTimes appends the flags and the timestamps of a run.
func appendRunTimes(dst []byte, flags byte, times []int64) []byte {
	dst = append(dst, flags|runTimesHere)
	for _, t := range times {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(t))
	}
	return dst
}
