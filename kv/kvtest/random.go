package kvtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/varve-db/varve/kv"
)

const (
	randomSteps    = 1500
	randomPinsMax  = 4
	randomKeyBytes = 3
)

// model is what a store has to contain.
type model map[string]string

func (m model) apply(b *kv.Batch) {
	for _, op := range b.Ops() {
		switch op.Kind {
		case kv.OpSet:
			m[string(op.Key)] = string(op.Value)
		case kv.OpDelete:
			delete(m, string(op.Key))
		case kv.OpDeleteRange:
			m.deleteRange(string(op.Key), string(op.Value))
		}
	}
}

func (m model) deleteRange(lower, upper string) {
	maps.DeleteFunc(m, func(k, _ string) bool { return lower <= k && k < upper })
}

// rows returns keys and values in turn, from the first key at or above start.
func (m model) rows(start, upper string) []string {
	var rows []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k >= start && (upper == "" || k < upper) {
			rows = append(rows, k, m[k])
		}
	}
	return rows
}

// pin is a snapshot or an iterator with what it has to see.
type pin struct {
	model        model
	snapshot     kv.Snapshot
	iterator     kv.Iterator
	lower, upper string
}

func (p pin) close() error {
	if p.snapshot != nil {
		return p.snapshot.Close()
	}
	return p.iterator.Close()
}

// walk is one random test: a store, its model, and the pins that are open.
type walk struct {
	t     *testing.T
	r     *rand.Rand
	store kv.Store
	model model
	pins  []pin
	step  int
}

// testRandom compares the store with a model over random operations. The seed
// is in the log; a failure names the step.
func testRandom(t *testing.T, s kv.Store) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &walk{t: t, r: rand.New(rand.NewPCG(seed, 0)), store: s, model: model{}}
	for w.step = range randomSteps {
		w.one()
	}
	for len(w.pins) > 0 {
		w.checkPin(0)
		w.dropPin(0)
	}
	wantScan(t, s, "", "", w.model.rows("", "")...)
}

func (w *walk) one() {
	switch n := w.r.IntN(100); {
	case n < 40:
		w.write()
	case n < 60:
		w.get()
	case n < 75:
		w.scan()
	case n < 83:
		w.pin()
	case n < 91:
		if len(w.pins) > 0 {
			w.checkPin(w.r.IntN(len(w.pins)))
		}
	case n < 94:
		if len(w.pins) > 0 {
			w.dropPin(w.r.IntN(len(w.pins)))
		}
	case n < 98:
		w.ingest()
	default:
		w.excise()
	}
}

func (w *walk) failf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("step %d: %s", w.step, fmt.Sprintf(format, args...))
}

func (w *walk) key() string {
	b := make([]byte, 1+w.r.IntN(randomKeyBytes))
	for i := range b {
		b[i] = "\x00abc\xff"[w.r.IntN(5)]
	}
	return string(b)
}

func (w *walk) value() string {
	return fmt.Sprintf("%d.%s", w.step, w.key())
}

// span returns two keys in order.
func (w *walk) span() (lower, upper string) {
	a, b := w.key(), w.key()
	return min(a, b), max(a, b)
}

func (w *walk) write() {
	var b kv.Batch
	for range 1 + w.r.IntN(8) {
		switch n := w.r.IntN(20); {
		case n < 14:
			b.Set([]byte(w.key()), []byte(w.value()))
		case n < 18:
			b.Delete([]byte(w.key()))
		default:
			lower, upper := w.span()
			b.DeleteRange([]byte(lower), []byte(upper))
		}
	}
	if err := w.store.Apply(&b, kv.Durability(w.r.IntN(10) == 0)); err != nil {
		w.failf("apply: %v", err)
	}
	w.model.apply(&b)
}

func (w *walk) get() {
	key := w.key()
	if want, ok := w.model[key]; ok {
		wantGet(w.t, w.store, key, want)
	} else {
		wantMissing(w.t, w.store, key)
	}
}

func (w *walk) bounds() (lower, upper string) {
	switch w.r.IntN(4) {
	case 0:
		return "", ""
	case 1:
		return w.key(), ""
	default:
		return w.span()
	}
}

func (w *walk) scan() {
	lower, upper := w.bounds()
	it, err := w.store.Scan([]byte(lower), bound(upper))
	if err != nil {
		w.failf("scan: %v", err)
	}
	w.checkIterator(it, w.model, lower, upper)
	if err := it.Close(); err != nil {
		w.failf("close iterator: %v", err)
	}
}

// checkIterator seeks a few times, with a short walk after each, and walks to
// the end after the last.
func (w *walk) checkIterator(it kv.Iterator, m model, lower, upper string) {
	w.t.Helper()
	for range w.r.IntN(4) {
		start := w.key()
		want := m.rows(max(start, lower), upper)
		ok := it.SeekGE([]byte(start))
		for n := w.r.IntN(5); ; n-- {
			if ok != (len(want) > 0) {
				w.failf("iterate from %q in [%q, %q): got %v, want %q, err %v", start, lower, upper, ok, want, it.Err())
			}
			if !ok || n == 0 {
				break
			}
			if string(it.Key()) != want[0] || string(it.Value()) != want[1] {
				w.failf("iterate from %q: got %q %q, want %q", start, it.Key(), it.Value(), want)
			}
			ok, want = it.Next(), want[2:]
		}
	}
	wantRest(w.t, it, it.SeekGE([]byte(lower)), m.rows(lower, upper)...)
}

func (w *walk) pin() {
	if len(w.pins) == randomPinsMax {
		w.dropPin(w.r.IntN(len(w.pins)))
	}
	p := pin{model: maps.Clone(w.model)}
	if w.r.IntN(2) == 0 {
		p.snapshot = w.store.Snapshot()
	} else {
		var err error
		p.lower, p.upper = w.bounds()
		if p.iterator, err = w.store.Scan([]byte(p.lower), bound(p.upper)); err != nil {
			w.failf("scan: %v", err)
		}
	}
	w.pins = append(w.pins, p)
}

func (w *walk) checkPin(i int) {
	w.t.Helper()
	p := w.pins[i]
	if p.iterator != nil {
		w.checkIterator(p.iterator, p.model, p.lower, p.upper)
		return
	}
	lower, upper := w.bounds()
	wantScan(w.t, p.snapshot, lower, upper, p.model.rows(lower, upper)...)
	key := w.key()
	if want, ok := p.model[key]; ok {
		wantGet(w.t, p.snapshot, key, want)
	} else {
		wantMissing(w.t, p.snapshot, key)
	}
}

func (w *walk) dropPin(i int) {
	if err := w.pins[i].close(); err != nil {
		w.failf("close: %v", err)
	}
	w.pins = slices.Delete(w.pins, i, i+1)
}

// ingest splits a sorted run of new rows into a few tables.
func (w *walk) ingest() {
	i, ok := w.store.(kv.Ingester)
	if !ok {
		return
	}
	run := model{}
	for range 1 + w.r.IntN(20) {
		run[w.key()] = w.value()
	}
	rows := run.rows("", "")
	var tables []kv.Table
	for len(rows) > 0 {
		n := 2 * (1 + w.r.IntN(len(rows)/2))
		tables = append(tables, table(w.t, i, rows[:n]...))
		rows = rows[n:]
	}
	w.r.Shuffle(len(tables), func(a, b int) { tables[a], tables[b] = tables[b], tables[a] })
	ingest(w.t, i, tables...)
	maps.Copy(w.model, run)
}

// excise closes the snapshots first: they need not keep what it removes.
func (w *walk) excise() {
	e, ok := w.store.(kv.Exciser)
	if !ok {
		return
	}
	for i := len(w.pins) - 1; i >= 0; i-- {
		if w.pins[i].snapshot != nil {
			w.dropPin(i)
		}
	}
	lower, upper := w.span()
	if err := e.Excise(context.Background(), []byte(lower), []byte(upper)); err != nil {
		w.failf("excise: %v", err)
	}
	w.model.deleteRange(lower, upper)
}
