package relabel

import (
	"bytes"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/varve-db/varve/series"
)

// outcome is what the rules make of one label set. The zero value leaves it as
// it is.
type outcome struct {
	labels series.Labels // in its place; nil: it stays
	drop   bool
	reason series.Reason // why it is refused
	detail string
}

// table remembers the outcomes of one set of rules in two generations: when the
// young one has its share of the memory, it becomes the old one, and the old one
// goes. An outcome found in the old one moves to the young one.
type table struct {
	rules   []*relabel.Config
	text    string // the rules as a file says them
	limits  series.LabelRules
	share   int64     // of each generation
	workers sync.Pool // *worker

	mu         sync.RWMutex
	young, old *generation
}

// generation is outcomes by label bytes. Positions are those in entries, of
// which the first is none.
type generation struct {
	positions map[string]uint32
	entries   []entry
	bytes     int64
}

type entry struct {
	key     string // label bytes
	outcome *outcome
	// next is the position of the series that followed last time, 0 if it is not
	// known: senders repeat their order. It is read and written atomically.
	next uint32
}

func newGeneration() *generation {
	return &generation{positions: map[string]uint32{}, entries: make([]entry, 1)}
}

func newTable(rules Rules, o Options) *table {
	return &table{
		rules: rules.file.List, text: rules.YAML(), limits: o.LabelRules, share: o.CacheBytes / 2,
		workers: sync.Pool{New: func() any { return &worker{builder: labels.NewBuilder(labels.EmptyLabels())} }},
		young:   newGeneration(), old: newGeneration(),
	}
}

// unchanged and dropped are the outcomes that most entries share.
var (
	unchanged = &outcome{}
	dropped   = &outcome{drop: true}
)

// each calls do with the outcome of every row of b, in order, and returns how
// many the rules were evaluated for.
func (t *table) each(b *series.Batch, do func(row int, o *outcome)) (evaluated int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	g, last := t.young, uint32(0)
	for row := range b.Rows {
		ls := b.Labels(row)
		position := g.follow(last, ls)
		if position == 0 {
			in, found := t.young, t.young.find(ls)
			if found == 0 {
				in, found = t.add(ls, &evaluated)
			}
			if in == g && last != 0 {
				atomic.StoreUint32(&g.entries[last].next, found)
			}
			g, position = in, found
		}
		do(row, g.entries[position].outcome)
		last = position
	}
	return evaluated
}

// follow returns the position that followed last, if it is that of ls; else 0.
func (g *generation) follow(last uint32, ls series.Labels) uint32 {
	if last == 0 {
		return 0
	}
	next := atomic.LoadUint32(&g.entries[last].next)
	if next != 0 && g.entries[next].key == string(ls) {
		return next
	}
	return 0
}

func (g *generation) find(ls series.Labels) uint32 { return g.positions[string(ls)] }

// add finds the outcome of ls in the old generation or by evaluation, and returns
// its place in the one that is young then. It lets go of the shared lock
// meanwhile: generations may have changed afterwards, and places stay good.
func (t *table) add(ls series.Labels, evaluated *int) (*generation, uint32) {
	var o *outcome
	if position := t.old.find(ls); position != 0 {
		o = t.old.entries[position].outcome
	}
	t.mu.RUnlock()
	defer t.mu.RLock()
	if o == nil {
		o = t.evaluate(ls)
		*evaluated++
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if position := t.young.find(ls); position != 0 { // somebody was faster
		return t.young, position
	}
	position := t.insertLocked(string(ls), o)
	return t.young, position
}

func (t *table) insertLocked(key string, o *outcome) uint32 {
	if t.young.bytes >= t.share {
		t.old, t.young = t.young, newGeneration()
	}
	g := t.young
	position := uint32(len(g.entries))
	g.entries = append(g.entries, entry{key: key, outcome: o})
	g.positions[key] = position
	// Slices and maps are up to twice as large as what is in them.
	const overhead = 2 * int64(unsafe.Sizeof(entry{})+unsafe.Sizeof("")+unsafe.Sizeof(position))
	g.bytes += overhead + int64(len(key))
	if o != unchanged && o != dropped {
		g.bytes += int64(unsafe.Sizeof(*o)) + int64(len(o.labels)+len(o.detail))
	}
	return position
}

// worker is what evaluating needs.
type worker struct {
	scratch labels.ScratchBuilder
	builder *labels.Builder
	batch   series.Batch
}

func (t *table) evaluate(ls series.Labels) *outcome {
	w := t.workers.Get().(*worker)
	defer t.workers.Put(w)
	decoded, err := ls.Decode(&w.scratch)
	if err != nil {
		return unchanged // it is for the storage to say so
	}
	w.builder.Reset(decoded)
	if !relabel.ProcessBuilder(w.builder, t.rules...) {
		return dropped
	}
	w.batch.Reset()
	w.batch.BeginLabels()
	w.builder.Range(func(l labels.Label) { w.batch.AddLabel([]byte(l.Name), []byte(l.Value)) })
	if reason, detail := w.batch.BeginRow(t.limits); reason != "" {
		return &outcome{reason: reason, detail: detail}
	}
	if got := w.batch.Labels(0); !bytes.Equal(got, ls) {
		return &outcome{labels: bytes.Clone(got)}
	}
	return unchanged
}
