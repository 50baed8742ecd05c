package chunks

import (
	"math"
	"slices"
	"sort"

	"github.com/varve-db/varve/chunks/column"
)

// Columns are the samples of one series, decoded: floats as columns, histograms
// as samples, each ascending in time and joined. No timestamp is in both.
type Columns struct {
	Times []int64
	// Every is the distance of neighbours in Times where it is known to be the
	// same for all, and First the first of them: then Times, which may be far from
	// the processor's caches, need not be looked at. Else both are 0.
	Every, First int64
	Values       []float64
	// Known is what is known of Values without a look at them.
	Known column.Facts
	// Starts is as long as Times, or empty if no float has a start timestamp.
	Starts     []int64
	Histograms []Sample

	// Conflicts counts the timestamps at which different versions met.
	Conflicts int

	merged []Sample
}

// Reset empties c and keeps its memory.
func (c *Columns) Reset() {
	c.Times, c.Values, c.Starts, c.Histograms = c.Times[:0], c.Values[:0], c.Starts[:0], c.Histograms[:0]
	c.Every, c.First, c.Known, c.Conflicts = 0, 0, column.Facts{}, 0
}

// Within returns the range of the floats with times in [mint, maxt].
func (c *Columns) Within(mint, maxt int64) (from, to int) {
	if mint > math.MinInt64 {
		from = c.upTo(mint - 1)
	}
	return from, max(from, c.upTo(maxt))
}

// upTo returns how many floats are not after t.
func (c *Columns) upTo(t int64) int {
	n := len(c.Times)
	if c.Every > 0 {
		return UpTo(t, c.First, c.Every, n)
	}
	return sort.Search(n, func(i int) bool { return c.Times[i] > t })
}

// UpTo returns how many of n timestamps are not after t, of which the first is
// given, and the others follow at the same distance.
func UpTo(t, first, every int64, n int) int {
	if t < first || n == 0 {
		return 0
	}
	return int(min(uint64(t-first)/uint64(every), uint64(n-1))) + 1
}

// Load sets c to the samples of the chunks, which may be in any order and
// overlap. The slice is sorted in place.
func (c *Columns) Load(list []Chunk) error {
	c.Reset()
	if !slices.IsSortedFunc(list, compareChunks) {
		slices.SortStableFunc(list, compareChunks)
	}
	for len(list) > 0 {
		n, end := 1, list[0].MaxTime
		for n < len(list) && list[n].MinTime <= end {
			end = max(end, list[n].MaxTime)
			n++
		}
		if err := c.add(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// add appends a group of chunks that overlap each other and nothing else.
func (c *Columns) add(group []Chunk) (err error) {
	if len(group) == 1 && group[0].isPlainFloats() {
		before := len(c.Times)
		c.Times, c.Values, err = group[0].appendFloats(c.Times, c.Values)
		if len(c.Starts) > 0 || len(group[0].Starts) > 0 {
			c.padStarts(before)
			c.Starts = append(c.Starts, group[0].Starts...)
			c.padStarts(len(c.Times))
		}
		return err
	}
	c.merged = c.merged[:0]
	for i, chunk := range group {
		if c.merged, err = appendSamples(c.merged, chunk, i); err != nil {
			return err
		}
	}
	joined, conflicts := SortAndJoin(c.merged)
	c.Conflicts += conflicts
	var previous Sample
	for _, s := range joined {
		current := s
		switch {
		case s.Histogram == nil:
			c.addFloat(s.Time, floatOf(s.Bits), s.Start)
		case len(group) > 1 && !s.followsIn(previous):
			s.Histogram = withUnknownReset(s.Histogram)
			c.Histograms = append(c.Histograms, s)
		default:
			c.Histograms = append(c.Histograms, s)
		}
		previous = current
	}
	return nil
}

// padStarts fills Starts with zeros up to n.
func (c *Columns) padStarts(n int) {
	for len(c.Starts) < n {
		c.Starts = append(c.Starts, 0)
	}
}

// Len returns the number of samples.
func (c *Columns) Len() int { return len(c.Times) + len(c.Histograms) }

// isPlainFloats reports whether c holds floats that decode into columns.
func (c Chunk) isPlainFloats() bool { return c.Encoding == EncFloat || c.Encoding == EncColumns }

// appendFloats appends the samples of a chunk of plain floats.
func (c Chunk) appendFloats(times []int64, values []float64) ([]int64, []float64, error) {
	if c.Encoding == EncColumns {
		return append(times, c.Times...), append(values, c.Values...), nil
	}
	return DecodeFloats(times, values, c.Data, c.Count)
}

// FromColumns returns a chunk of decoded floats, which are not copied; starts
// may be empty.
func FromColumns(times []int64, values []float64, starts []int64) Chunk {
	return Chunk{
		Encoding: EncColumns, Count: len(times), MinTime: times[0], MaxTime: times[len(times)-1],
		Times: times, Values: values, Starts: starts,
	}
}
