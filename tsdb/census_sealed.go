package tsdb

import (
	"slices"
	"sync/atomic"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

const (
	// sealedPart is how many series of a sealed generation a worker takes at a time.
	sealedPart = 4096
	// groupsFrom is from how large a part of a generation on its postings give the
	// groups, and valueSeries for how many series a label may have a value: below,
	// reading the label sets is faster.
	groupsFrom  = 16
	valueSeries = 128
	// valuesAlways are never too many.
	valuesAlways = 256
)

// sealedCensus is a census of a sealed generation.
type sealedCensus struct {
	*census
	number   int // of the reader
	reader   *generationReader
	ends     *block.Ends
	ordinals []uint32
	groups   *block.Groups // nil: the label sets give the groups
	present  []bool        // by ordinal, with groups
	next     atomic.Int64  // part to take
	tallies  []*sealedTally
}

// sealedTally is what one worker has counted.
type sealedTally struct {
	labelTally
	counts []int64 // by group
}

func (n *census) ofSealed(number int) (_ []index.CensusGroup, ok bool, err error) {
	s := &sealedCensus{census: n, number: number, reader: &n.q.readers[number]}
	found, pending, err := s.reader.Match(index.Prepare(n.Matchers))
	if err != nil {
		return nil, true, s.tolerate(err)
	}
	if len(pending) > 0 { // there are few
		return nil, false, nil
	}
	defer n.close()
	s.ordinals, s.ends = found.ToArray(), s.reader.Ends()
	if err := s.group(); err != nil {
		return nil, true, err
	}
	err = n.Run((len(s.ordinals)+sealedPart-1)/sealedPart, s.work)
	if err == nil {
		err = n.err
	}
	if err != nil || len(s.tallies) == 0 {
		return nil, true, err
	}
	for _, other := range s.tallies[1:] {
		s.tallies[0].add(&other.labelTally)
		for group, n := range other.counts {
			s.tallies[0].counts[group] += n
		}
	}
	if s.groups != nil {
		groups, err := s.counted(s.tallies[0].counts)
		return groups, true, err
	}
	return s.tallies[0].groups, true, nil
}

// tolerate is that of the querier, for the generation's index.
func (s *sealedCensus) tolerate(err error) error {
	return s.q.tolerate(err, s.reader.held.ID, damagedIndex)
}

// group asks the postings for the groups, if that is the way to go.
func (s *sealedCensus) group() error {
	if len(s.Names) == 0 || len(s.ordinals) < int(s.reader.Series())/groupsFrom {
		return nil
	}
	groups, ok, err := s.reader.Groups(s.Names, max(len(s.ordinals)/valueSeries, valuesAlways))
	if block.IsDamage(err) {
		return nil // then the label sets tell
	}
	if err != nil || !ok {
		return err
	}
	s.groups, s.present = groups, make([]bool, s.reader.Series())
	return nil
}

// work takes parts until there are no more.
func (s *sealedCensus) work(int) {
	r, tally := s.census.reader(nil), &sealedTally{labelTally: labelTally{names: s.Names}}
	if s.groups != nil {
		tally.counts = make([]int64, len(s.groups.Labels))
	}
	for {
		from := (int(s.next.Add(1)) - 1) * sealedPart
		if from >= len(s.ordinals) {
			break
		}
		if err := s.take(r, s.ordinals[from:min(from+sealedPart, len(s.ordinals))], tally); err != nil {
			s.next.Store(int64(len(s.ordinals)))
			s.mu.Lock()
			if s.err == nil {
				s.err = err
			}
			s.mu.Unlock()
			return
		}
	}
	s.mu.Lock()
	s.tallies = append(s.tallies, tally)
	s.mu.Unlock()
}

// take counts a part.
func (s *sealedCensus) take(r *censusReader, ordinals []uint32, tally *sealedTally) error {
	if err := s.charge(len(ordinals)); err != nil {
		return err
	}
	counted, err := s.countedOf(r, ordinals)
	if err != nil {
		return err
	}
	switch {
	case s.groups != nil:
		for _, ordinal := range counted {
			s.present[ordinal] = true
			tally.counts[s.groups.Of[ordinal]]++
		}
		return nil
	case len(s.Names) == 0:
		tally.count(nil, nil, int64(len(counted)))
		return nil
	}
	return s.tolerate(s.reader.Labels(counted, func(_ int, ls series.Labels) error {
		tally.take(ls)
		return nil
	}))
}

// countedOf returns those of a part that count, in order; they are valid until the
// next call. What is known of the newest samples is not read.
func (s *sealedCensus) countedOf(r *censusReader, ordinals []uint32) ([]uint32, error) {
	r.counted, r.asked = r.counted[:0], r.asked[:0]
	for _, ordinal := range ordinals {
		present, known := s.ends.Within(ordinal, s.mint, s.maxt)
		switch {
		case !known:
			r.asked = append(r.asked, ordinal)
		case present:
			r.counted = append(r.counted, ordinal)
		}
	}
	s.points.Add(int64(len(r.counted)))
	if len(r.asked) == 0 {
		return r.counted, nil
	}
	known := len(r.counted)
	entries := r.start(len(r.asked))
	r.places = slices.Grow(r.places[:0], len(r.asked))[:len(r.asked)]
	for i, ordinal := range r.asked {
		r.places[i] = rowPlace{s.number, ordinal}
		entries[i] = entry{rows: r.places[i : i+1 : i+1]}
	}
	err := r.read(func(i int) { r.counted = append(r.counted, r.asked[i]) }, func(i int, t int64, stale bool) {
		s.ends.Learn(r.asked[i], t, s.maxt, stale)
	})
	if known > 0 {
		slices.Sort(r.counted)
	}
	return r.counted, err
}

// counted returns the groups that the postings gave, each with its first series.
func (s *sealedCensus) counted(counts []int64) ([]index.CensusGroup, error) {
	out := make([]index.CensusGroup, len(counts))
	ends := make([]uint32, len(counts)) // of those that may be the first
	var rivals []uint32
	for _, ordinal := range s.ordinals {
		if !s.present[ordinal] {
			continue
		}
		group := s.groups.Of[ordinal]
		if ends[group] == 0 {
			ends[group] = s.groups.Rivals(ordinal)
		}
		if ordinal < ends[group] {
			rivals = append(rivals, ordinal)
		}
	}
	err := s.tolerate(s.reader.Labels(rivals, func(i int, ls series.Labels) error {
		if g := &out[s.groups.Of[rivals[i]]]; g.First == nil || series.Compare(ls, g.First) < 0 {
			g.First = append(g.First[:0], ls...)
		}
		return nil
	}))
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Labels, out[i].Count = s.groups.Labels[i], counts[i]
	}
	return slices.DeleteFunc(out, func(g index.CensusGroup) bool { return g.Count == 0 }), nil
}
