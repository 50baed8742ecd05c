package query

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// TestDifferential asks Prometheus's engine and the columnar executor the same,
// at random: made-up series in made-up states of a database, and queries from the
// whole grammar. VARVE_PROMQL_SECONDS says for how long it makes new ones, and
// VARVE_PROMQL_SEED repeats one world; without them the worlds are always the same,
// so that a change alone can turn the test red.
func TestDifferential(t *testing.T) {
	d := newDuel()
	if seed, err := strconv.ParseUint(os.Getenv("VARVE_PROMQL_SEED"), 10, 64); err == nil {
		d.world(t, seed)
		t.Log(d)
		return
	}
	first := uint64(1)
	seconds, err := strconv.Atoi(os.Getenv("VARVE_PROMQL_SECONDS"))
	switch {
	case err == nil:
		first = rand.Uint64N(1 << 40)
	case testing.Short():
		seconds = 4
	case raceEnabled:
		seconds = 10
	default:
		seconds = 20
	}
	for _, seed := range differed {
		d.world(t, seed)
	}
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	for seed := first; time.Now().Before(until) && d.failed < d.failuresMax; seed++ {
		d.world(t, seed)
	}
	t.Log(d)
	if d.asked > 1000 && d.empty > d.asked*3/4 {
		t.Errorf("%d of %d queries have no answer: they find nothing to differ in", d.empty, d.asked)
	}
}

// differed are worlds that once showed a difference: a series without points gave
// its place in the order of a sum to another of the same labels.
var differed = []uint64{980273479340}

const (
	// queriesPerWorld are asked of each world.
	queriesPerWorld = 150
	// referenceRuns is how often the reference is asked where it seems to differ.
	referenceRuns = 30
)

// duel is the engines that are compared, and the score.
type duel struct {
	pairs []*pair
	from  func(*tsdb.DB) Columnar
	quiet bool // count what differs, and say nothing
	// failuresMax ends a run that found so many differences.
	failuresMax int
	how         string // the latest difference

	asked, empty, failed, errors  int
	found, near, erratic, timeout int
	overlooked                    int
}

// pair is engines with the same options.
type pair struct {
	name      string
	reference *Engine
	one, many *Engine // with one worker and with several
	mixed     *Engine // evaluates parts of queries on the reference; may be nil
	salt      byte    // which parts
}

func newDuel() *duel {
	d := &duel{failuresMax: 5, from: func(db *tsdb.DB) Columnar { return Local(db, series.DefaultTenant) }}
	for i := range 4 {
		o := Options{DelayedNameRemoval: i&1 != 0, UseStartTimestamps: i&2 != 0, FillModifiers: true, UnquotedUTF8Names: true, Timeout: 20 * time.Second}
		p := &pair{name: fmt.Sprintf("delayed name removal %t, start timestamps %t", o.DelayedNameRemoval, o.UseStartTimestamps)}
		p.one, p.many = New(o), New(o)
		p.one.slots, p.many.slots = nil, exec.NewSlots(3)
		if o.Claims = p.claims; !o.DelayedNameRemoval {
			p.mixed = New(o)
		}
		o.Claims, o.ReferenceOnly = nil, true
		p.reference = New(o)
		d.pairs = append(d.pairs, p)
	}
	return d
}

// claims leaves a third of all expressions to the reference.
func (p *pair) claims(expr parser.Expr) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte{p.salt})
	_, _ = h.Write([]byte(expr.String()))
	return h.Sum32()%3 != 0
}

func (d *duel) String() string {
	return fmt.Sprintf("%d queries, %d without an answer, %d errors, %d differences; the reference differs from itself: %d equal to a later run, %d close, %d not comparable; %d overlooked, %d timeouts",
		d.asked, d.empty, d.errors, d.failed, d.found, d.near, d.erratic, d.overlooked, d.timeout)
}

// world asks queries of one world.
func (d *duel) world(t *testing.T, seed uint64) {
	w := newWorld(seed)
	db := w.load(t)
	defer func() { _ = db.Close() }()
	if n := db.Damaged(); n > 0 {
		t.Fatalf("seed %d: %d rows were taken for damaged", seed, n)
	}
	for n := range uint64(queriesPerWorld) {
		if d.failed >= d.failuresMax {
			return
		}
		r := newAsker(w, n).request()
		p := d.pairs[n%uint64(len(d.pairs))]
		p.salt = byte(n)
		if difference, by := d.compare(t.Context(), db, p, r, n); difference != "" {
			d.failed++
			if d.how = difference; !d.quiet {
				t.Error(d.report(t, w, db, p, r, n, by))
			}
		}
	}
}

// contender is an engine that has to agree with the reference.
type contender struct {
	name   string
	engine *Engine
}

// contenders returns who answers query n.
func (p *pair) contenders(n uint64) []contender {
	one, many := contender{"one worker", p.one}, contender{"several workers", p.many}
	switch n % 3 {
	case 0:
		return []contender{one, many}
	case 1:
		// Where names are removed late, a part that is evaluated by itself loses
		// them too early.
		if p.mixed != nil {
			return []contender{many, {"parts on the reference", p.mixed}}
		}
		return []contender{many}
	}
	return []contender{one}
}

// compare asks everybody, and returns how the first that differs does.
func (d *duel) compare(ctx context.Context, db *tsdb.DB, p *pair, r Request, n uint64) (string, contender) {
	from := d.from(db)
	want := ask(ctx, p.reference, from, r)
	d.asked++
	switch {
	case want.err == "" && len(want.points) == 0:
		d.empty++
	case strings.Contains(want.err, "timed out"):
		d.timeout++
		return "", contender{}
	case want.err != "":
		d.errors++
	}
	for _, c := range p.contenders(n) {
		if found := d.differs(ctx, from, p, c, r, want); found != "" {
			return found, c
		}
	}
	return "", contender{}
}

func ask(ctx context.Context, e *Engine, from Columnar, r Request) answer {
	result, err := e.Run(ctx, from, r)
	return answerOf(r.Query, result, err)
}

// differs says how a contender's answer differs from the reference's, which is
// asked again before it counts.
func (d *duel) differs(ctx context.Context, from Columnar, p *pair, c contender, r Request, want answer) string {
	ask := func(e *Engine) answer { return overlook(ask(ctx, e, from, r), r, c.engine == p.mixed) }
	want, got := overlook(want, r, c.engine == p.mixed), ask(c.engine)
	how := difference(want, got)
	if how == "" {
		return ""
	}
	if samePlaces(p.reference.parser, r, want, got) || misplaced(p.reference.parser, r) || c.engine == p.mixed && dependsOnWhole(r) {
		d.overlooked++
		return ""
	}
	runs := []answer{want}
	for range referenceRuns {
		runs = append(runs, ask(p.reference))
	}
	switch explain(runs, got) {
	case found:
		d.found++
	case near:
		d.near++
	case erratic:
		d.erratic++
		if os.Getenv("VARVE_DEBUG") != "" {
			fmt.Println("ERRATIC", p.name, r.Query, r.Start.UnixMilli(), r.Step, how)
		}
	default:
		// A part's series come in the order of labels, and sums go by the order.
		if c.engine != p.mixed || r.Step == 0 || !sameShape(want, got) || !closeTo(runs, got) {
			return how
		}
		d.near++
	}
	return ""
}

// dependsOnWhole reports whether parts of a query may not be evaluated by
// themselves and give the same. limitk and topk go by the order of series, which
// is that of labels once a part has been a result; and the engine does not decode
// the buckets of histograms whose count or sum is all that the whole asks for.
func dependsOnWhole(r Request) bool {
	return strings.Contains(r.Query, "histogram_") ||
		r.Step != 0 && (strings.Contains(r.Query, "limit") || strings.Contains(r.Query, "topk") || strings.Contains(r.Query, "bottomk"))
}

// report makes a difference small and prints it.
func (d *duel) report(t *testing.T, w *world, db *tsdb.DB, p *pair, r Request, n uint64, c contender) string {
	ctx := t.Context()
	whole := r.Query
	still := func(db *tsdb.DB, r Request) bool {
		from := d.from(db)
		return d.differs(ctx, from, p, c, r, ask(ctx, p.reference, from, r)) != ""
	}
	inDB := func(r Request) bool { return still(db, r) }
	r = shrinkQuery(p.reference.parser, r, inDB)
	r = shrinkTimes(r, inDB)
	r = shrinkQuery(p.reference.parser, r, inDB)
	w = shrinkWorld(w, func(w *world) bool {
		db := w.load(t)
		defer func() { _ = db.Close() }()
		return still(db, r)
	})
	small := w.load(t)
	defer func() { _ = small.Close() }()
	from := d.from(small)
	want, got := ask(ctx, p.reference, from, r), ask(ctx, c.engine, from, r)
	return fmt.Sprintf("VARVE_PROMQL_SEED=%d query %d (%s; %s)\n  %s\nshrunk to\n  %s\nfrom %d to %d every %s, lookback %s\n%s\nPrometheus: %s%s: %s%s",
		w.seed, n, p.name, c.name, whole, r.Query, r.Start.UnixMilli(), r.End.UnixMilli(), r.Step, r.Lookback,
		difference(want, got), want, c.name, got, w)
}
