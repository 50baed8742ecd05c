package chunks

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Gatherer decodes the chunks of one series after the other into Columns. It
// walks groups of chunks that overlap, as Iterator does, and gives what an
// Iterator gives, counter reset hints included. Its zero value is ready; it
// keeps its scratch.
type Gatherer struct {
	merged  []Sample
	records []byte // of histograms
	reuse   chunkenc.Iterator
	last    Chunk // read last, to see whether the next one follows it
	int     histogram.Histogram
	float   histogram.FloatHistogram
}

// Begin starts another series; the histograms handed out so far are no longer
// valid.
func (g *Gatherer) Begin() {
	g.records = g.records[:0]
	g.Pass()
}

// Pass notes that the chunk before the next group was read by other means.
func (g *Gatherer) Pass() { g.last = Chunk{position: nowhere} }

// Append appends to c the samples of chunks that overlap each other, and come
// behind what c has. The floats may lie outside of [mint, maxt]; histograms
// outside are left out. After an error c is as it was.
func (g *Gatherer) Append(c *Columns, chunks []Chunk, mint, maxt int64) error {
	before := *c
	var err error
	switch {
	case len(chunks) > 1:
		err = g.merge(c, chunks, mint, maxt)
	case chunks[0].isPlainFloats():
		err = c.add(chunks)
	default:
		err = g.single(c, chunks[0], mint, maxt)
	}
	if err != nil {
		*c = before
		return err
	}
	if g.last = chunks[len(chunks)-1]; len(chunks) > 1 {
		g.last.position = nowhere
	}
	return nil
}

// single reads a chunk in one of Prometheus's encodings.
func (g *Gatherer) single(c *Columns, chunk Chunk, mint, maxt int64) error {
	it, err := chunk.iterator(g.reuse)
	if err != nil {
		return err
	}
	g.reuse = it
	follows := g.last.list == chunk.list && g.last.position+1 == chunk.position
	doubtful := chunk.position > 0 && !follows
	for first := true; ; first = false {
		kind := it.Next()
		if kind == chunkenc.ValNone {
			if err := it.Err(); err != nil {
				return corrupt(chunk, err)
			}
			return nil
		}
		if kind == chunkenc.ValFloat {
			t, v := it.At()
			c.addFloat(t, v, it.AtST())
			continue
		}
		if t := it.AtT(); t >= mint && t <= maxt {
			c.Histograms = append(c.Histograms, Sample{Time: t, Start: it.AtST(), Histogram: g.record(it, kind, first && doubtful)})
		}
	}
}

// addFloat appends a float.
func (c *Columns) addFloat(t int64, v float64, start int64) {
	if start != 0 || len(c.Starts) > 0 {
		c.padStarts(len(c.Times))
		c.Starts = append(c.Starts, start)
	}
	c.Times, c.Values = append(c.Times, t), append(c.Values, v)
}

// record returns the record of the histogram on which it stands.
func (g *Gatherer) record(it chunkenc.Iterator, kind chunkenc.ValueType, doubtful bool) []byte {
	at := len(g.records)
	if kind == chunkenc.ValHistogram {
		_, h := it.AtHistogram(&g.int)
		if doubtful {
			h.CounterResetHint = unknownReset(h.CounterResetHint)
		}
		g.records = AppendHistogram(g.records, h)
	} else {
		_, h := it.AtFloatHistogram(&g.float)
		if doubtful {
			h.CounterResetHint = unknownReset(h.CounterResetHint)
		}
		g.records = AppendFloatHistogram(g.records, h)
	}
	return g.records[at:len(g.records):len(g.records)]
}

// merge joins chunks that overlap.
func (g *Gatherer) merge(c *Columns, chunks []Chunk, mint, maxt int64) (err error) {
	g.merged = g.merged[:0]
	for i, chunk := range chunks {
		if g.merged, err = appendSamples(g.merged, chunk, i); err != nil {
			return err
		}
	}
	joined, conflicts := SortAndJoin(g.merged)
	c.Conflicts += conflicts
	var previous Sample
	for _, s := range joined {
		current := s
		switch {
		case s.Histogram == nil:
			c.addFloat(s.Time, floatOf(s.Bits), s.Start)
		case s.Time < mint || s.Time > maxt:
		case !s.followsIn(previous):
			s.Histogram = withUnknownReset(s.Histogram)
			c.Histograms = append(c.Histograms, s)
		default:
			c.Histograms = append(c.Histograms, s)
		}
		previous = current
	}
	return nil
}

// Check decodes the chunk and returns an error if that fails.
func (c Chunk) Check() error {
	var g Gatherer
	var columns Columns
	return g.Append(&columns, []Chunk{c}, math.MinInt64, math.MaxInt64)
}

// Compare orders chunks as they are walked: by time, then by where they were
// read.
func (c Chunk) Compare(o Chunk) int { return compareChunks(c, o) }
