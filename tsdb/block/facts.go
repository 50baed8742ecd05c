package block

import (
	linked "container/list"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// Facts keeps what sealed generations say about many of their series at once, and
// what was selected from them, so that it is not read and decoded for each question
// again. What is kept never changes, as a sealed generation does not. When memory is
// spent, that goes which was of use longest ago. It may be used by several goroutines.
type Facts struct {
	max int // bytes

	mu    sync.Mutex
	kept  map[factKey]*linked.Element // of *fact
	order *linked.List                // the one used last is in front
	held  int                         // bytes
	clock uint64                      // how often something was asked for
}

// factKey names what is kept of a generation.
type factKey struct {
	id   ID
	kind factKind
	name string
}

type factKind uint8

const (
	factValues    factKind = iota // *ValueColumn; the name is the label's
	factEnds                      // *Ends
	factSelection                 // *Selected; the name is that of the matchers
)

type fact struct {
	key   factKey
	value any
	bytes int
	used  uint64 // clock
}

const (
	factBytes = 256  // about what a fact takes besides its contents
	factPart  = 4    // one may take that part of the memory
	factIdle  = 4096 // what was not of use among so many questions makes room
)

// NewFacts returns room for so many bytes.
func NewFacts(bytes int) *Facts {
	f := &Facts{max: bytes}
	f.Forget()
	return f
}

// Bytes returns what is held.
func (f *Facts) Bytes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held
}

// Forget drops all.
func (f *Facts) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept, f.order, f.held = map[factKey]*linked.Element{}, linked.New(), 0
}

// get returns what is kept, nil if it is not.
func (f *Facts) get(key factKey) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock++
	at := f.kept[key]
	if at == nil {
		return nil
	}
	f.order.MoveToFront(at)
	kept := at.Value.(*fact)
	kept.used = f.clock
	return kept.value
}

// admits reports whether it is worth the time to make something so large in order
// to keep it: there is room, or something else has not been of use for long. So
// questions about more generations than there is room for do not drive out each
// other's answers.
func (f *Facts) admits(bytes int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if bytes += factBytes; bytes > f.max/factPart {
		return false
	}
	return f.held+bytes <= f.max || f.clock-f.order.Back().Value.(*fact).used > factIdle
}

// put keeps a value, unless it is too large. If there is one already, that is
// returned: two that looked for the same may have found it.
func (f *Facts) put(key factKey, value any, bytes int) any {
	bytes += factBytes + len(key.name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if at := f.kept[key]; at != nil {
		return at.Value.(*fact).value
	}
	if bytes > f.max/factPart {
		return value
	}
	for f.held+bytes > f.max {
		oldest := f.order.Remove(f.order.Back()).(*fact)
		f.held -= oldest.bytes
		delete(f.kept, oldest.key)
	}
	f.kept[key] = f.order.PushFront(&fact{key, value, bytes, f.clock})
	f.held += bytes
	return value
}

// ValueColumn says which value of a label each series of a generation has.
type ValueColumn struct {
	texts []string // ascending, from 1; the first is empty, for series without the label
	of    []uint32 // by ordinal, an index into texts
}

// valueSeriesMin is for how many series a label must have a value, on average, for
// its values to be kept as a column: else reading the postings is as fast.
const valueSeriesMin = 8

// With makes r keep facts, if its generation is sealed, and use those that are kept.
func (r *Reader) With(facts *Facts) *Reader {
	if r.Sealed() {
		r.facts = facts
	}
	return r
}

// column returns the values of a label, nil if they are not to be had as a column:
// the postings tell then.
func (r *Reader) column(name string) (*ValueColumn, error) {
	if r.facts == nil {
		return nil, nil
	}
	key := factKey{r.generation.ID, factValues, name}
	if kept, ok := r.facts.get(key).(*ValueColumn); ok {
		return kept, nil
	}
	if !r.facts.admits(4 * int(r.ordinals)) {
		return nil, nil
	}
	c := &ValueColumn{texts: []string{""}, of: make([]uint32, r.ordinals)}
	bytes, err := r.readValues(name, c)
	switch {
	case err == errEnough || IsDamage(err): // some of the rows may be of use
		return nil, nil
	case err != nil:
		return nil, err
	}
	return r.facts.put(key, c, bytes).(*ValueColumn), nil
}

// readValues fills a column from the postings, and returns its size.
func (r *Reader) readValues(name string, c *ValueColumn) (bytes int, err error) {
	it, err := r.store.Scan(r.key(familyPostings), r.key(familyPostings+1))
	if err != nil {
		return 0, err
	}
	defer it.Close()
	m := matching{reader: r, it: it}
	var current []byte
	bytes = 4 * len(c.of)
	err = m.values(name, "", func(value []byte) bool {
		current = append(current[:0], value...)
		return true
	}, func(row []byte) error {
		if len(c.texts)*valueSeriesMin > len(c.of)+valueSeriesMin*valueSeriesMin {
			return errEnough
		}
		bytes += len(current) + int(unsafe.Sizeof(""))
		number := uint32(len(c.texts))
		c.texts = append(c.texts, string(current))
		return eachRun(row, r.ordinals, func(first, end uint64) bool {
			for i := first; i < end; i++ {
				c.of[i] = number
			}
			return true
		})
	})
	return bytes, err
}

// wanted returns the series whose value accept takes, and those without one if
// accept takes the empty value.
func (c *ValueColumn) wanted(accept func(value string) bool) ordinalSet {
	taken := make([]uint8, len(c.texts))
	for i, text := range c.texts {
		if accept(text) {
			taken[i] = 1
		}
	}
	set := newOrdinalSet(uint32(len(c.of)))
	for word := range set {
		var bits uint64
		for i, value := range c.of[word*64 : min((word+1)*64, len(c.of))] {
			bits |= uint64(taken[value]) << i
		}
		set[word] = bits
	}
	return set
}

// add adds to values those that the series in within have.
func (c *ValueColumn) add(values map[string]struct{}, within *roaring.Bitmap) {
	met := make([]bool, len(c.texts))
	for first, end := range within.Ranges() {
		for _, value := range c.of[first:end] {
			met[value] = true
		}
	}
	for i, text := range c.texts[1:] {
		if met[i+1] {
			values[text] = struct{}{}
		}
	}
}

// Ends are the times of the newest samples of a sealed generation's series, as far
// as they are known to be floats.
type Ends struct {
	max int64 // time of the newest sample of all
	// of is by ordinal: 0 if nothing is known, else (max less the time, plus 1) and,
	// in the lowest bit, whether it is a stale marker.
	of []atomic.Uint32
}

// Ends returns what is known of the newest samples, for the caller to add to; nil
// if it is not to be kept.
func (r *Reader) Ends() *Ends {
	if r.facts == nil {
		return nil
	}
	key := factKey{r.generation.ID, factEnds, ""}
	if kept, ok := r.facts.get(key).(*Ends); ok {
		return kept
	}
	if !r.facts.admits(4 * int(r.ordinals)) {
		return nil
	}
	e := &Ends{max: r.generation.Flushes[0].MaxTime, of: make([]atomic.Uint32, r.ordinals)}
	return r.facts.put(key, e, 4*len(e.of)).(*Ends)
}

// Within tells of a series whether its newest sample with a time in [mint, maxt] is
// a float that is no stale marker. known is false if that has to be looked up.
func (e *Ends) Within(ordinal uint32, mint, maxt int64) (present, known bool) {
	if e == nil {
		return false, false
	}
	code := e.of[ordinal].Load()
	if code == 0 {
		return false, false
	}
	t := e.max - int64(code>>1) + 1
	if t > maxt {
		return false, false
	}
	return t >= mint && code&1 == 0, true
}

// Learn takes note of the newest sample of a series, a float, that a search up to
// maxt has found.
func (e *Ends) Learn(ordinal uint32, t, maxt int64, stale bool) {
	const backMax = 1<<31 - 2
	if e == nil || maxt < e.max || t > e.max || e.max-t >= backMax {
		return
	}
	code := uint32(e.max-t+1) << 1
	if stale {
		code |= 1
	}
	e.of[ordinal].Store(code)
}

// Selected are series of a sealed generation.
type Selected struct {
	Ordinals []uint32        // ascending
	Labels   []labels.Labels // of each
}

// selectedMax is how many series a selection has at most that is kept.
const selectedMax = 1024

// Selected returns the series that matchers, which text stands for, have selected;
// nil if they are not kept.
func (r *Reader) Selected(text string) *Selected {
	if r.facts == nil {
		return nil
	}
	s, _ := r.facts.get(factKey{r.generation.ID, factSelection, text}).(*Selected)
	return s
}

// Keeps reports whether a selection of n series may be kept.
func (r *Reader) Keeps(n int) bool { return r.facts != nil && n <= selectedMax }

// Keep keeps what matchers have selected: copies of the labels, and the ordinals.
func (r *Reader) Keep(text string, s *Selected) {
	bytes := 0
	s.Labels = slices.Clone(s.Labels)
	for i, ls := range s.Labels {
		s.Labels[i] = ls.Copy()
		bytes += int(unsafe.Sizeof(ls)) + 4 + int(ls.ByteSize())
	}
	r.facts.put(factKey{r.generation.ID, factSelection, text}, s, bytes)
}
