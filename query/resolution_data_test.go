package query

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
	"github.com/varve-db/varve/tsdb/tsdbtest"
)

const (
	fiveMinutes = int64(5 * time.Minute / time.Millisecond)
	hour        = int64(time.Hour / time.Millisecond)
	day         = 24 * hour
	// thinnedFrom is the midnight at which the samples of thinned begin.
	thinnedFrom = 19_700 * day
	thinnedDays = 3
)

// thinned is storage that says that it keeps windows, and makes them of the samples,
// all of which it has. Those of partitions that are not raw it does not give out.
type thinned struct {
	Columnar
	parts []plan.Coverage
	db    *tsdbtest.Storage
}

// dayOf is what there is of a day of thinned.
func dayOf(n int64, raw bool, widths ...int64) plan.Coverage {
	from := thinnedFrom + n*day
	return plan.Coverage{Min: from, Max: from + day - 1, Raw: raw, Widths: widths}
}

func (s thinned) Columns(mint, maxt int64) (exec.Querier, error) {
	q, err := s.Columnar.Columns(mint, maxt)
	if err != nil {
		return nil, err
	}
	return thinnedQuerier{q, s}, nil
}

type thinnedQuerier struct {
	exec.Querier
	of thinned
}

func (q thinnedQuerier) Coverage() []plan.Coverage { return q.of.parts }

func (q thinnedQuerier) Select(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) (exec.Selection, error) {
	set, err := q.Querier.Select(ctx, mint, maxt, ms)
	if err != nil {
		return nil, err
	}
	return thinnedSelection{set, q.of}, nil
}

// hides reports whether the samples at t are gone.
func (s thinned) hides(t int64) bool {
	return slices.ContainsFunc(s.parts, func(c plan.Coverage) bool { return !c.Raw && t >= c.Min && t <= c.Max })
}

type thinnedSelection struct {
	exec.Selection
	of thinned
}

func (s thinnedSelection) Reader() exec.Reader { return thinnedReader{s.Selection.Reader(), s.of} }

type thinnedReader struct {
	exec.Reader
	of thinned
}

func (r thinnedReader) Read(ctx context.Context, i int) (*chunks.Columns, error) {
	c, err := r.Reader.Read(ctx, i)
	if err != nil {
		return nil, err
	}
	out := &chunks.Columns{}
	for k, t := range c.Times {
		if !r.of.hides(t) {
			out.Times, out.Values = append(out.Times, t), append(out.Values, c.Values[k])
		}
	}
	for _, h := range c.Histograms {
		if !r.of.hides(h.Time) {
			out.Histograms = append(out.Histograms, h)
		}
	}
	return out, nil
}

func (q thinnedQuerier) SelectWindows(ctx context.Context, read exec.WindowRead, ms []*labels.Matcher) (exec.WindowSelection, error) {
	set, err := q.Querier.Select(ctx, read.Mint-2*hour, read.Maxt, ms)
	if err != nil {
		return nil, err
	}
	return thinnedWindows{set, q.of, read}, nil
}

type thinnedWindows struct {
	exec.Selection
	of   thinned
	read exec.WindowRead
}

func (s thinnedWindows) Reader() exec.WindowReader {
	return &thinnedWindowReader{Reader: s.Selection.Reader(), of: s}
}

type thinnedWindowReader struct {
	exec.Reader
	of thinnedWindows
}

func (r *thinnedWindowReader) Read(ctx context.Context, i int) (*window.Windows, bool, error) {
	c, err := r.Reader.Read(ctx, i)
	if err != nil {
		return nil, false, err
	}
	all := &window.Windows{}
	for _, part := range r.of.of.parts {
		width := int64(0)
		if part.Raw {
			width = r.of.read.Width
		}
		for _, from := range r.of.read.From {
			if from.Min <= part.Min && part.Max <= from.Max {
				width = from.Width
			}
		}
		if width == 0 {
			continue
		}
		from := sort.Search(len(c.Times), func(k int) bool { return c.Times[k] >= part.Min })
		to := sort.Search(len(c.Times), func(k int) bool { return c.Times[k] > part.Max })
		some := &window.Windows{}
		some.Append(c.Times[from:to], c.Values[from:to], width)
		all.Join(some)
	}
	out := &window.Windows{}
	some := &window.Windows{}
	some.Join(all)
	for k := all.Len() - 1; k >= 0 && all.End[k] > r.of.read.Maxt; k-- {
		some.Truncate(k)
	}
	out.Join(some)
	return out, len(c.Histograms) > 0, nil
}

// thinnedSeries are the metrics of newThinned, and how they come.
var thinnedSeries = []struct {
	name     string
	interval int64
	next     func(r *rand.Rand, v float64) float64
}{
	{"steady_total", 60_000, func(r *rand.Rand, v float64) float64 { return v + float64(r.IntN(20)) }},
	{"resetting_total", 60_000, func(r *rand.Rand, v float64) float64 {
		if r.IntN(50) == 0 {
			return float64(r.IntN(5))
		}
		return v + r.Float64()*3
	}},
	{"gauge", 60_000, func(r *rand.Rand, v float64) float64 { return v + r.NormFloat64() }},
	{"level", 60_000, func(r *rand.Rand, _ float64) float64 { return float64(1 + r.IntN(100)) }},
	{"rare_total", 43 * 60_000, func(r *rand.Rand, v float64) float64 { return v + float64(r.IntN(9)) }},
}

// newThinned returns storage with three days of series of which one comes on the
// clock, and others late, with gaps and stale markers.
func newThinned(t testing.TB, parts ...plan.Coverage) thinned {
	t.Helper()
	store := tsdbtest.New(t, tsdbtest.Modes[0])
	db := store.DB()
	appendThinned(t, db, thinnedDays, 1)
	return thinned{Local(db, series.DefaultTenant), parts, store}
}

// appendThinned appends days of thinnedSeries, at intervals that are slower times
// as long.
func appendThinned(t testing.TB, db *tsdb.DB, days, slower int64) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	for _, s := range thinnedSeries {
		interval := s.interval * slower
		for instance := range 4 {
			var batch series.Batch
			if reason, detail := batch.AddSeries(labels.FromStrings("__name__", s.name, "m", s.name, "i", string(rune('a'+instance)))); reason != "" {
				t.Fatal(detail)
			}
			v, phase := 0.0, r.Int64N(interval)
			if instance == 0 {
				phase = 0
			}
			for at := thinnedFrom + phase; at < thinnedFrom+days*day; at += interval {
				v = s.next(r, v)
				switch {
				case instance < 2:
				case r.IntN(200) == 0:
					batch.AddSample(at, 0, math.Float64frombits(value.StaleNaN))
					at += r.Int64N(2 * hour)
					continue
				case instance == 3:
					at += r.Int64N(interval / 2)
				}
				batch.AddSample(at, 0, v)
			}
			appendBatch(t, db, &batch)
		}
	}
}

// appendBatch appends samples, none of which may be refused.
func appendBatch(t testing.TB, db *tsdb.DB, batch *series.Batch) {
	t.Helper()
	outcome, err := db.Append(t.Context(), series.DefaultTenant, batch)
	if err != nil || !outcome.Refused.Empty() {
		t.Fatal(err, outcome.Refused.String())
	}
}

var _ exec.Windowed = localQuerier{(*tsdb.Querier)(nil)}
