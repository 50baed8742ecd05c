package query

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// planted is storage whose columns are wrong in a way that is easy to miss.
type planted struct {
	Columnar
	bug func(*chunks.Columns)
}

func (p planted) Columns(mint, maxt int64) (exec.Querier, error) {
	q, err := p.Columnar.Columns(mint, maxt)
	return plantedQuerier{q, p.bug}, err
}

type plantedQuerier struct {
	exec.Querier
	bug func(*chunks.Columns)
}

func (q plantedQuerier) Select(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) (exec.Selection, error) {
	s, err := q.Querier.Select(ctx, mint, maxt, ms)
	return plantedSelection{s, q.bug}, err
}

type plantedSelection struct {
	exec.Selection
	bug func(*chunks.Columns)
}

func (s plantedSelection) Reader() exec.Reader { return plantedReader{s.Selection.Reader(), s.bug} }

type plantedReader struct {
	exec.Reader
	bug func(*chunks.Columns)
}

func (r plantedReader) Read(ctx context.Context, i int) (*chunks.Columns, error) {
	c, err := r.Reader.Read(ctx, i)
	if err != nil {
		return nil, err
	}
	wrong := *c
	r.bug(&wrong)
	return &wrong, nil
}

// TestDifferentialSees plants bugs under the columnar executor, each of which must
// show, and still show once the query and the data are made small.
func TestDifferentialSees(t *testing.T) {
	for name, bug := range map[string]func(*chunks.Columns){
		"windows that are a millisecond off": func(c *chunks.Columns) {
			times := make([]int64, len(c.Times))
			for i, at := range c.Times {
				times[i] = at + 1
			}
			c.Times = times
		},
		"a last bit of one value": func(c *chunks.Columns) {
			values := append([]float64(nil), c.Values...)
			if n := len(values) / 2; n > 0 && values[n] == values[n] {
				values[n] *= 1 + 1e-15
			}
			c.Values = values
		},
		"a sample that is missing": func(c *chunks.Columns) {
			if n := len(c.Times); n > 20 && len(c.Starts) == 0 {
				c.Times, c.Values = c.Times[:n-1], c.Values[:n-1]
			}
		},
		"start timestamps that are forgotten": func(c *chunks.Columns) { c.Starts = nil },
		"a stale marker that is a value": func(c *chunks.Columns) {
			values := append([]float64(nil), c.Values...)
			for i, v := range values {
				if exec.IsAbsent(v) {
					values[i] = 0
				}
			}
			c.Values = values
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDuel()
			d.from = func(db *tsdb.DB) Columnar { return planted{Local(db, series.DefaultTenant), bug} }
			d.quiet, d.failuresMax = true, 1
			const worldsMax = 60
			seed := uint64(1)
			for ; d.failed == 0 && seed <= worldsMax; seed++ {
				d.world(t, seed)
			}
			if d.failed == 0 {
				t.Fatalf("not seen in %d queries", d.asked)
			}
			t.Logf("seen after %d queries: %s", d.asked, d.how)
		})
	}
}

// TestShrinkDifference makes a difference small enough to read.
func TestShrinkDifference(t *testing.T) {
	d := newDuel()
	late := func(c *chunks.Columns) {
		if n := len(c.Times); n > 0 {
			c.Times, c.Values, c.Starts = c.Times[:n-1], c.Values[:n-1], c.Starts[:max(len(c.Starts)-1, 0)]
		}
	}
	d.from = func(db *tsdb.DB) Columnar { return planted{Local(db, series.DefaultTenant), late} }
	w := newWorld(3)
	db := w.load(t)
	defer func() { _ = db.Close() }()
	p := d.pairs[0]
	r := newAsker(w, 1).request()
	r.Query = `(sum by (job) (abs(rate(requests_total[20m] offset 1s)) * 2) > bool 1) or on (instance) label_replace(max by (job, instance) (count_over_time(memory{job!="x"}[20m])), "to", "$1", "job", "(.*)")`
	r.Step = 15 * time.Second
	r.Start, r.End = time.UnixMilli(w.to-60_000), time.UnixMilli(w.to+60_000)
	how, by := d.compare(t.Context(), db, p, r, 0)
	if how == "" {
		t.Fatalf("the bug does not show in %s: %s", r.Query, ask(t.Context(), p.one, d.from(db), r))
	}
	text := d.report(t, w, db, p, r, 0, by)
	_, small, _ := strings.Cut(text, "shrunk to\n")
	query, rest, _ := strings.Cut(small, "\n")
	if len(query) > len(r.Query)/2 || strings.Count(rest, "\n") > 20 {
		t.Errorf("not small:\n%s", text)
	}
}

// TestDifferentialLongWindows asks for windows so many and so long that they are
// evaluated in parts, which made-up worlds are too small for.
func TestDifferentialLongWindows(t *testing.T) {
	w := wideWorld(2, 1500)
	db := w.load(t)
	defer func() { _ = db.Close() }()
	d := newDuel()
	for _, text := range []string{
		"avg_over_time(memory[4h])", "sum_over_time(memory[4h])", "stddev_over_time(memory[4h] offset 1m)", "stdvar_over_time(memory[4h])",
		"quantile_over_time(0.3, memory[4h])", "quantile_over_time(scalar(memory{instance=\"1\"}) / 1000, memory[4h])", "mad_over_time(memory[4h])",
		"double_exponential_smoothing(memory[4h], 0.2, 0.7)", "max_over_time(memory[4h])", "predict_linear(memory[4h], 60)", "sum_over_time((memory * 1.1)[4h:15s])",
	} {
		r := Request{Query: text, Start: time.UnixMilli(w.from + 1), End: time.UnixMilli(w.to), Step: 11 * time.Second}
		if how, by := d.compare(t.Context(), db, d.pairs[0], r, 0); how != "" {
			t.Errorf("%s, %s: %s", text, by.name, how)
		}
	}
}
