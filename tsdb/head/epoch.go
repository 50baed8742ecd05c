package head

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
)

// Epoch holds the samples that arrived between two freezes.
type Epoch struct {
	// ID numbers epochs in order; it is part of the keys of the log's rows.
	ID uint64

	pages   pages
	stripes atomic.Pointer[[]*stripe]
	grow    sync.Mutex

	minTime, maxTime atomic.Int64
	samples          atomic.Int64
	extraBytes       atomic.Int64
	stripeBytes      atomic.Int64
	duplicates       atomic.Int64
	conflicts        atomic.Int64
}

// Exemplar is an exemplar of a series.
type Exemplar struct {
	Timestamp int64 // milliseconds
	Value     float64
	Labels    series.Labels
}

// NewEpoch returns an empty epoch that takes its memory from slabs.
func NewEpoch(id uint64, slabs *Slabs) *Epoch {
	e := &Epoch{ID: id, pages: pages{source: slabs}}
	e.minTime.Store(math.MaxInt64)
	e.maxTime.Store(math.MinInt64)
	e.stripes.Store(new([]*stripe))
	return e
}

// Release gives the epoch's memory back. No method may be called afterwards.
func (e *Epoch) Release() {
	e.stripes.Store(new([]*stripe))
	e.pages.release()
}

// Range returns the times of the earliest and the latest sample or exemplar; min
// is above max while the epoch is empty.
func (e *Epoch) Range() (minTime, maxTime int64) { return e.minTime.Load(), e.maxTime.Load() }

// Samples returns the number of samples appended, exact duplicates left out.
func (e *Epoch) Samples() int64 { return e.samples.Load() }

// Conflicts returns how often a sample met another one with the same timestamp
// and another value.
func (e *Epoch) Conflicts() int64 { return e.conflicts.Load() }

// Bytes returns the memory that the epoch takes, approximately.
func (e *Epoch) Bytes() int64 {
	return e.pages.bytes() + e.extraBytes.Load() + e.stripeBytes.Load()
}

// stripeAt returns the stripe of ref, nil if it does not exist and make is false.
func (e *Epoch) stripeAt(number int, create bool) *stripe {
	stripes := *e.stripes.Load()
	if number < len(stripes) && stripes[number] != nil || !create {
		if number >= len(stripes) {
			return nil
		}
		return stripes[number]
	}
	e.grow.Lock()
	defer e.grow.Unlock()
	stripes = *e.stripes.Load()
	if number < len(stripes) && stripes[number] != nil {
		return stripes[number]
	}
	grown := make([]*stripe, max(len(stripes), number+1))
	copy(grown, stripes)
	grown[number] = &stripe{}
	e.stripeBytes.Add(index.PageRefs * 48)
	e.stripes.Store(&grown)
	return grown[number]
}

// locked remembers the stripe of the last series, so that a run of neighbours
// takes one lock.
type locked struct {
	epoch  *Epoch
	number int
	stripe *stripe
}

func (l *locked) lock(ref index.Ref) (*stripe, uint32) {
	number := int(ref / index.PageRefs)
	if l.stripe == nil || l.number != number {
		l.unlock()
		l.number, l.stripe = number, l.epoch.stripeAt(number, true)
		l.stripe.mu.Lock()
	}
	return l.stripe, uint32(ref % index.PageRefs)
}

func (l *locked) unlock() {
	if l.stripe != nil {
		l.stripe.mu.Unlock()
		l.stripe = nil
	}
}

// Append adds the samples of batch; refs holds the reference of each row, and
// rows whose reference is 0 are left out. The batch must be durable already. It
// returns the earliest time that was added, math.MaxInt64 if nothing was.
func (e *Epoch) Append(batch *series.Batch, refs []index.Ref) (earliest int64) {
	l := locked{epoch: e}
	minTime, maxTime := int64(math.MaxInt64), int64(math.MinInt64)
	added := int64(0)
	for r := range batch.Rows {
		row := &batch.Rows[r]
		ref := refs[r]
		if ref == 0 {
			continue
		}
		s, position := l.lock(ref)
		for i := row.Samples.Start; i < row.Samples.End; i++ {
			t, bits, start := batch.Timestamps[i], math.Float64bits(batch.Values[i]), batch.StartOf(i)
			minTime, maxTime = min(minTime, t), max(maxTime, t)
			if c := &s.open[position]; start == 0 {
				if c.count == 0 || t > c.state.Time {
					s.append(&e.pages, position, t, bits)
					added++
					continue
				}
				if t == c.state.Time && bits == c.state.Bits {
					e.duplicates.Add(1)
					continue
				}
			}
			e.addExtra(s, position, chunks.Sample{Time: t, Start: start, Bits: bits})
			added++
		}
		for _, h := range batch.Histograms[row.Histograms.Start:row.Histograms.End] {
			minTime, maxTime = min(minTime, h.Timestamp), max(maxTime, h.Timestamp)
			e.addExtra(s, position, chunks.HistogramSample(h))
			added++
		}
		for i := row.Exemplars.Start; i < row.Exemplars.End; i++ {
			x := &batch.Exemplars[i]
			minTime, maxTime = min(minTime, x.Timestamp), max(maxTime, x.Timestamp)
			e.addExemplar(s, position, Exemplar{x.Timestamp, x.Value, slices.Clone(batch.ExemplarLabels(i))})
		}
	}
	l.unlock()
	e.samples.Add(added)
	lowerTo(&e.minTime, minTime)
	raiseTo(&e.maxTime, maxTime)
	return minTime
}

// extraSampleBytes is about what an extra sample takes besides its histogram.
const extraSampleBytes = 64

// extraSpare is how many samples may wait to be joined before a burst of
// repeated ones is folded together.
const extraSpare = 256

func (e *Epoch) addExtra(s *stripe, position uint32, sample chunks.Sample) {
	x := s.extraOf(position)
	x.samples = append(x.samples, sample)
	e.extraBytes.Add(extraSampleBytes + int64(len(sample.Histogram)))
	if len(x.samples) > 2*x.sorted+extraSpare {
		before := len(x.samples)
		x.joined(e)
		e.extraBytes.Add(extraSampleBytes * int64(len(x.samples)-before))
	}
}

// exemplarsMax bounds the exemplars that a series keeps in an epoch; later ones
// replace the earliest.
const exemplarsMax = 128

func (e *Epoch) addExemplar(s *stripe, position uint32, x Exemplar) {
	extra := s.extraOf(position)
	if slices.ContainsFunc(extra.exemplars, func(o Exemplar) bool {
		return o.Timestamp == x.Timestamp && math.Float64bits(o.Value) == math.Float64bits(x.Value) && string(o.Labels) == string(x.Labels)
	}) {
		return
	}
	if len(extra.exemplars) == exemplarsMax {
		extra.exemplars = slices.Delete(extra.exemplars, 0, 1)
	}
	extra.exemplars = append(extra.exemplars, x)
	e.extraBytes.Add(48 + int64(len(x.Labels)))
}

func lowerTo(a *atomic.Int64, v int64) {
	for old := a.Load(); v < old && !a.CompareAndSwap(old, v); old = a.Load() {
	}
}

func raiseTo(a *atomic.Int64, v int64) {
	for old := a.Load(); v > old && !a.CompareAndSwap(old, v); old = a.Load() {
	}
}

// MarkOverlapping sets marked[i] if refs[i] has samples or exemplars that may lie
// in [mint, maxt]. Those marked already are not looked at; neighbours take one
// lock.
func (e *Epoch) MarkOverlapping(refs []index.Ref, mint, maxt int64, marked []bool) {
	var s *stripe
	held := -1
	for i, ref := range refs {
		if marked[i] {
			continue
		}
		if number := int(ref / index.PageRefs); number != held {
			if s != nil {
				s.mu.Unlock()
			}
			if held, s = number, e.stripeAt(number, false); s != nil {
				s.mu.Lock()
			}
		}
		if s != nil {
			marked[i] = s.overlaps(uint32(ref%index.PageRefs), mint, maxt)
		}
	}
	if s != nil {
		s.mu.Unlock()
	}
}

// overlaps reports whether the series at position i has something that may lie in
// [mint, maxt].
func (s *stripe) overlaps(i uint32, mint, maxt int64) bool {
	if s.open[i].overlaps(mint, maxt) {
		return true
	}
	if len(s.extra) == 0 {
		return false
	}
	x := s.extra[uint16(i)]
	return x != nil &&
		(slices.ContainsFunc(x.samples, func(s chunks.Sample) bool { return s.Time >= mint && s.Time <= maxt }) ||
			slices.ContainsFunc(x.exemplars, func(x Exemplar) bool { return x.Timestamp >= mint && x.Timestamp <= maxt }))
}

// Chunks appends to list copies of the chunks of ref that overlap [mint, maxt],
// as the caller's lists number and following.
func (e *Epoch) Chunks(ref index.Ref, mint, maxt int64, number int, list []chunks.Chunk) ([]chunks.Chunk, error) {
	s := e.stripeAt(int(ref/index.PageRefs), false)
	if s == nil {
		return list, nil
	}
	position := uint32(ref % index.PageRefs)
	s.mu.Lock()
	if c := &s.open[position]; c.overlaps(mint, maxt) {
		chunk, _, err := c.copy(&e.pages, Span{mint, maxt}, nil)
		if err != nil {
			s.mu.Unlock()
			return list, err
		}
		list = append(list, chunk.WithList(number, 0))
	}
	var samples []chunks.Sample
	if x := s.extra[uint16(position)]; x != nil && len(x.samples) > 0 {
		samples = slices.Clone(x.joined(e))
	}
	s.mu.Unlock()
	if len(samples) == 0 || samples[0].Time > maxt || samples[len(samples)-1].Time < mint {
		return list, nil
	}
	encoded, err := chunks.Encode(nil, samples)
	for i, c := range encoded {
		list = append(list, c.WithList(number+1, i))
	}
	return list, err
}

// ListsPerEpoch is how many list numbers Chunks uses.
const ListsPerEpoch = 2

// Exemplars appends to dst the exemplars of ref in [mint, maxt].
func (e *Epoch) Exemplars(ref index.Ref, mint, maxt int64, dst []Exemplar) []Exemplar {
	s := e.stripeAt(int(ref/index.PageRefs), false)
	if s == nil {
		return dst
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.extra[uint16(ref%index.PageRefs)]; x != nil {
		for _, exemplar := range x.exemplars {
			if exemplar.Timestamp >= mint && exemplar.Timestamp <= maxt {
				dst = append(dst, exemplar)
			}
		}
	}
	return dst
}
