package chunks

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/internal/fields"
)

// histogramRun is a decoded run. It is meant to be decoded into again, but what
// the histograms read from it share, the custom bounds, is new every time.
type histogramRun struct {
	runClass
	float         bool
	times, starts []int64 // starts are empty if none is known
	hints         []histogram.CounterResetHint
	layouts       []runLayout
	sums          []float64
	above         []int64 // of the counts

	// Column i of the counts begins at i*stride: the zero bucket's, and then
	// those of the buckets.
	stride int
	ints   []int64
	floats []float64

	sequence           column.Sequence
	positive, negative []int64 // indexes of the buckets of any of the layouts
	indexes            []int64
}

// runReader reads the head of a run.
type runReader struct{ recordReader }

// decode decodes the run that c holds, with its timestamps.
func (r *histogramRun) decode(c Chunk) error {
	if c.Count < 1 || c.Count > column.SamplesMax {
		return fmt.Errorf("%d samples in a run", c.Count)
	}
	f := runReader{recordReader{fields.New(c.Data)}}
	flags := f.Byte()
	if flags&^runFlagsKnown != 0 {
		return fmt.Errorf("unknown flags %#x of a run", flags)
	}
	if flags&runTimesHere == 0 {
		return fmt.Errorf("the timestamps of a run are elsewhere")
	}
	r.float = flags&runFloat != 0
	r.readTimes(&f, c.Count)
	r.runClass = runClass{schema: int32(f.Varint()), threshold: f.Float(), custom: f.floats()}
	r.readHints(&f, histogram.CounterResetHint(flags>>runHint&3))
	r.readLayouts(&f)
	if f.Bad() {
		return fmt.Errorf("the head of a run ends at byte %d", f.At())
	}
	if r.times[0] != c.MinTime || r.times[c.Count-1] != c.MaxTime || !r.known() {
		return fmt.Errorf("the head of a run, of schema %d, is not that of its chunk", r.schema)
	}
	return r.readColumns(f.Rest(), flags&runStarts != 0)
}

func (r *histogramRun) readTimes(f *runReader, n int) {
	r.times = grow(r.times, n)
	words := f.Take(8 * uint64(n))
	if words == nil {
		return
	}
	for i := range r.times {
		r.times[i] = int64(binary.LittleEndian.Uint64(words[8*i:]))
	}
}

// readHints reads the counter reset hints, of which usual is the one of most.
func (r *histogramRun) readHints(f *runReader, usual histogram.CounterResetHint) {
	n := len(r.times)
	r.hints = grow(r.hints, n)
	for i := range r.hints {
		r.hints[i] = usual
	}
	at := uint64(0)
	for range f.Count(1) {
		v := f.Uvarint()
		gap := v >> 2
		if gap >= uint64(n) || at+gap >= uint64(n) {
			f.Fail()
			return
		}
		r.hints[at+gap] = histogram.CounterResetHint(v & 3)
		at += gap + 1
	}
}

// readLayouts reads the layouts and finds the buckets that any of them has.
func (r *histogramRun) readLayouts(f *runReader) {
	r.layouts, r.positive, r.negative = r.layouts[:0], nil, nil
	n := len(r.times)
	total := 0
	most := runCellsMax/n - 1 // and the zero bucket
	for range f.Count(3) {
		samples := f.Uvarint()
		l := runLayout{first: total, positive: f.spans(), negative: f.spans()}
		var ok, okToo bool
		r.indexes, ok = bucketIndexes(r.indexes[:0], l.positive, most)
		r.positive = unite(r.positive, r.indexes)
		r.indexes, okToo = bucketIndexes(r.indexes[:0], l.negative, most)
		r.negative = unite(r.negative, r.indexes)
		if !ok || !okToo || samples == 0 || samples > uint64(n-total) || len(r.positive)+len(r.negative) > most {
			f.Fail()
		}
		if f.Bad() {
			return
		}
		total += int(samples)
		r.layouts = append(r.layouts, l)
	}
	if total != n {
		f.Fail()
		return
	}
	for i := range r.layouts {
		l := &r.layouts[i]
		r.indexes, _ = bucketIndexes(r.indexes[:0], l.positive, most)
		l.places = placesIn(l.places, r.positive, r.indexes, 0)
		r.indexes, _ = bucketIndexes(r.indexes[:0], l.negative, most)
		l.places = placesIn(l.places, r.negative, r.indexes, len(r.positive))
	}
}

// strideOf returns the distance of two columns of n counts: the counts of one
// sample, one of each column, must not all be in the same set of a cache.
func strideOf(n int) int { return ((n+7)/8 | 1) * 8 }

// readColumns decodes the columns in src.
func (r *histogramRun) readColumns(src []byte, starts bool) error {
	n, columns := len(r.times), 1+len(r.positive)+len(r.negative)
	if columns > len(src) { // a column takes at least a byte
		return fmt.Errorf("%d columns in %d bytes", columns, len(src))
	}
	s := &r.sequence
	s.Open(src)
	r.sums = grow(r.sums, n)
	if err := s.Values(r.sums); err != nil {
		return err
	}
	r.stride = strideOf(n)
	if r.float {
		r.floats = grow(r.floats, columns*r.stride)
	} else {
		r.ints = grow(r.ints, columns*r.stride)
	}
	for i := range columns {
		var err error
		if r.float {
			err = s.Values(r.floats[i*r.stride:][:n])
		} else {
			err = s.Integers(r.ints[i*r.stride:][:n])
		}
		if err != nil {
			return err
		}
	}
	r.above = grow(r.above, n)
	if err := s.Integers(r.above); err != nil {
		return err
	}
	r.starts = r.starts[:0]
	if starts {
		r.starts = grow(r.starts, n)
		if err := s.Starts(r.starts, r.times); err != nil {
			return err
		}
	}
	return s.End()
}

// grow returns a slice of n elements, s if it is large enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
