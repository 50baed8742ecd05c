package query

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/series"
)

// asked is an answer to a query over thinned.
type asked struct {
	points          map[string]map[int64]float64
	infos, warnings []string
	windows         int64
}

// askThinned asks for steps from start to end, or at start alone if step is 0.
func askThinned(t *testing.T, e *Engine, from Columnar, query string, start, end, step int64, coarsest plan.Coarsest) asked {
	t.Helper()
	r := Request{Query: query, Start: time.UnixMilli(start), End: time.UnixMilli(end), Step: milliseconds(step), Coarsest: coarsest}
	result, err := e.Run(t.Context(), from, r)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer result.Close()
	a := asked{points: map[string]map[int64]float64{}, windows: result.Work.Windows}
	a.warnings, a.infos = result.Warnings.AsStrings("", 0, 0)
	a.infos = slices.DeleteFunc(a.infos, func(s string) bool { return !strings.Contains(s, "resolution") })
	slices.Sort(a.infos)
	switch v := result.Value.(type) {
	case promql.Matrix:
		for _, s := range v {
			points := map[int64]float64{}
			for _, p := range s.Floats {
				points[p.T] = p.F
			}
			a.points[s.Metric.String()] = points
		}
	case promql.Vector:
		for _, s := range v {
			a.points[s.Metric.String()] = map[int64]float64{s.T: s.F}
		}
	default:
		t.Fatalf("%s: %s", query, parser.DocumentedType(v.Type()))
	}
	return a
}

// agree compares answers; the steps of the one are shifted by shift.
func agree(got, want asked, shift int64) error {
	if len(got.points) != len(want.points) {
		return fmt.Errorf("%d series, want %d", len(got.points), len(want.points))
	}
	for name, points := range want.points {
		if len(got.points[name]) != len(points) {
			return fmt.Errorf("%s: %d points, want %d", name, len(got.points[name]), len(points))
		}
		for at, v := range points {
			w, ok := got.points[name][at+shift]
			if !ok || math.Abs(v-w) > 1e-9*max(math.Abs(v), math.Abs(w), 1e-3) {
				return fmt.Errorf("%s at %d: %v (%t), want %v", name, at, w, ok, v)
			}
		}
	}
	return nil
}

// windowQueries are what windows answer as samples do; %s is the range.
var windowQueries = []string{
	`avg_over_time({__name__=~".+"}[%s])`, `sum_over_time({__name__=~".+"}[%s])`, `count_over_time({__name__=~".+"}[%s])`,
	`min_over_time({__name__=~".+"}[%s])`, `max_over_time({__name__=~".+"}[%s])`, `last_over_time({__name__=~".+"}[%s])`,
	`first_over_time({__name__=~".+"}[%s])`, `present_over_time({__name__=~".+"}[%s])`, `ts_of_last_over_time({__name__=~".+"}[%s])`,
	`ts_of_first_over_time({__name__=~".+"}[%s])`, `delta({__name__=~".+"}[%s])`, `absent_over_time(rare_total[%s])`,
	`rate({__name__=~".+_total"}[%s])`, `increase({__name__=~".+_total"}[%s])`, `sum by (i) (rate(steady_total[%s]))`,
	`max_over_time(sum(rate(steady_total[%s]))[6h:1h])`,
	`sum_over_time(gauge[%s] offset 3h)`, `gauge`, `gauge offset 1h`, `timestamp(level)`, `count(level) + count(rare_total)`, `absent(rare_total)`,
}

// TestWindowsAnswerAsSamples compares answers from windows with those from samples,
// where steps are at the ends of windows: they are equal but for rounding, wherever
// there are windows, and whether there are samples too.
func TestWindowsAnswerAsSamples(t *testing.T) {
	engine := New(Options{})
	raw := newThinned(t)
	wants := map[string]asked{}
	for _, state := range []struct {
		name  string
		parts []plan.Coverage
	}{
		{"all of both widths", []plan.Coverage{dayOf(0, true, fiveMinutes, hour), dayOf(1, true, fiveMinutes, hour), dayOf(2, true, fiveMinutes, hour)}},
		{"new is raw", []plan.Coverage{dayOf(0, true, fiveMinutes, hour), dayOf(1, true, fiveMinutes), dayOf(2, true)}},
		{"old is coarse alone", []plan.Coverage{dayOf(0, false, hour), dayOf(1, false, fiveMinutes, hour), dayOf(2, true, hour)}},
		{"islands", []plan.Coverage{dayOf(0, true), dayOf(1, false, fiveMinutes, hour), dayOf(2, true)}},
		{"first alone", []plan.Coverage{dayOf(0, false, fiveMinutes), dayOf(1, true), dayOf(2, true)}},
	} {
		t.Run(state.name, func(t *testing.T) {
			from := thinned{Columnar: raw.Columnar, parts: state.parts}
			for _, of := range []struct {
				rate       string
				step, from int64
			}{{"1h", hour, 0}, {"6h", 3 * hour, 12 * hour}} {
				for _, query := range windowQueries {
					if strings.Contains(query, "%s") {
						query = fmt.Sprintf(query, of.rate)
					}
					start, end := thinnedFrom+of.from, thinnedFrom+thinnedDays*day
					want, known := wants[query+of.rate]
					if !known {
						want = askThinned(t, engine, raw, query, start, end, of.step, 0)
						wants[query+of.rate] = want
					}
					got := askThinned(t, engine, from, query, start, end, of.step, 0)
					if err := agree(got, want, 0); err != nil {
						t.Errorf("%s by %s: %v", query, milliseconds(of.step), err)
					}
					if len(got.infos) == 0 || len(got.warnings) > 0 || got.windows == 0 && !strings.Contains(query, "count(") {
						t.Errorf("%s: infos %q, warnings %q, %d windows", query, got.infos, got.warnings, got.windows)
					}
					if len(want.infos) > 0 || want.windows > 0 {
						t.Errorf("%s: infos %q of samples, %d windows", query, want.infos, want.windows)
					}
				}
			}
		})
	}
}

// TestStepsBetweenEndsOfWindows asks for steps that lie between two ends: they are
// answered as of the end before, and what they sum up differs from what the samples
// say by at most the share of one window.
func TestStepsBetweenEndsOfWindows(t *testing.T) {
	engine := New(Options{})
	from := newThinned(t, dayOf(0, false, hour), dayOf(1, false, hour), dayOf(2, false, hour))
	raw := thinned{Columnar: from.Columnar}
	const between = 17*60_000 + 1
	start, end := thinnedFrom+6*hour, thinnedFrom+thinnedDays*day-hour
	for _, query := range windowQueries {
		if strings.Contains(query, ":1h]") {
			continue // its inner steps are at ends whatever the outer are
		}
		if strings.Contains(query, "%s") {
			query = fmt.Sprintf(query, "2h")
		}
		want := askThinned(t, engine, raw, query, start, end, hour, 0)
		got := askThinned(t, engine, from, query, start+between, end+between, hour, 0)
		if err := agree(got, want, between); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	for _, function := range []string{"sum_over_time", "count_over_time", "increase"} {
		metric := "steady_total"
		if function == "sum_over_time" {
			metric = "level"
		}
		want := askThinned(t, engine, raw, function+"("+metric+"[6h])", start+between, end+between, hour, 0)
		got := askThinned(t, engine, from, function+"("+metric+"[6h])", start+between, end+between, hour, 0)
		most := askThinned(t, engine, raw, "max_over_time("+function+"("+metric+"[1h])[3d:1m])", end+between, end+between, 0, 0)
		for name, points := range want.points {
			bound := most.points[name][end+between]
			for at, v := range points {
				// Extrapolation makes an increase larger by a few parts in a hundred.
				if w, ok := got.points[name][at]; !ok || math.Abs(v-w) > 1.05*bound {
					t.Errorf("%s of %s at %d: %v (%t), want %v within %v", function, name, at, w, ok, v, bound)
				}
			}
		}
	}
}

// TestWhatWindowsDoNotAnswer asks what needs samples, and for narrower steps than
// there are windows.
func TestWhatWindowsDoNotAnswer(t *testing.T) {
	engine := New(Options{})
	both := newThinned(t, dayOf(0, true, fiveMinutes, hour), dayOf(1, true, fiveMinutes, hour), dayOf(2, true))
	raw := thinned{Columnar: both.Columnar}
	gone := thinned{Columnar: both.Columnar, parts: []plan.Coverage{dayOf(0, false, hour), dayOf(1, true, hour), dayOf(2, true)}}
	start, end := thinnedFrom+2*hour, thinnedFrom+2*day
	for _, of := range []struct {
		query    string
		step     int64
		coarsest plan.Coarsest
		lacks    string
	}{
		{`quantile_over_time(0.9, level[1h])`, hour, 0, "PromQL warning: quantile_over_time cannot be answered in full: samples are gone for 2023-12-09..2023-12-10"},
		{`changes(gauge[1h])`, hour, 0, "PromQL warning: changes cannot be answered in full: samples are gone for 2023-12-09..2023-12-10"},
		{`rate(steady_total[10m])`, 7 * 60_000, 0, "PromQL warning: rate is answered from windows of 1h, which do not divide its step and range: samples are gone for 2023-12-09..2023-12-10"},
		{`rate(steady_total[1h])`, hour, plan.RawOnly, "PromQL warning: rate is answered from windows of 1h, which do not divide its step and range: samples are gone for 2023-12-09..2023-12-10"},
	} {
		want := askThinned(t, engine, raw, of.query, start, end, of.step, 0)
		got := askThinned(t, engine, both, of.query, start, end, of.step, of.coarsest)
		if err := agree(got, want, 0); err != nil || got.windows > 0 || len(got.warnings) > 0 {
			t.Errorf("%s of samples: %v, %d windows, warnings %q", of.query, err, got.windows, got.warnings)
		}
		got = askThinned(t, engine, gone, of.query, start, end, of.step, of.coarsest)
		if len(got.warnings) != 1 || got.warnings[0] != of.lacks {
			t.Errorf("%s: warnings %q, want %q", of.query, got.warnings, of.lacks)
		}
		// Steps that look at nothing that is gone have what the samples give.
		got = askThinned(t, engine, gone, of.query, start+day, end, of.step, of.coarsest)
		want = askThinned(t, engine, raw, of.query, start+day, end, of.step, 0)
		if err := agree(got, want, 0); err != nil || len(got.warnings) > 0 {
			t.Errorf("%s of what is there: %v, warnings %q", of.query, err, got.warnings)
		}
	}
	if got := askThinned(t, engine, gone, `sum_over_time(level[30m])`, start, start, 0, 0); len(got.points) != 4 {
		t.Errorf("half a window: %v", got.points)
	}
}

// TestResolutionsAreTold looks at what answers say of the resolutions.
func TestResolutionsAreTold(t *testing.T) {
	engine := New(Options{})
	from := newThinned(t, dayOf(0, false, hour), dayOf(1, true, fiveMinutes, hour), dayOf(2, true))
	start, end := thinnedFrom+2*hour, thinnedFrom+3*day
	for _, of := range []struct {
		step     int64
		coarsest plan.Coarsest
		infos    []string
		explain  plan.Resolution
	}{
		{hour, 0, []string{"PromQL info: resolution 1h for 2023-12-09..2023-12-11", "PromQL info: resolution raw for 2023-12-11..2023-12-12"}, "1h+raw"},
		{hour, plan.Coarsest(fiveMinutes), []string{"PromQL info: resolution 1h for 2023-12-09..2023-12-10", "PromQL info: resolution 5m for 2023-12-10..2023-12-11", "PromQL info: resolution raw for 2023-12-11..2023-12-12"}, "1h+5m+raw"},
	} {
		got := askThinned(t, engine, from, `rate(steady_total[1h])`, start, end, of.step, of.coarsest)
		if !slices.Equal(got.infos, of.infos) {
			t.Errorf("infos %q, want %q", got.infos, of.infos)
		}
		x, err := engine.Explain(t.Context(), from, Request{Query: `rate(steady_total[1h])`, Start: time.UnixMilli(start), End: time.UnixMilli(end), Step: milliseconds(of.step), Coarsest: of.coarsest})
		if err != nil {
			t.Fatal(err)
		}
		x.Plan.Root.Walk(func(n *plan.Node) bool {
			if n.Selector != nil && (n.Selector.Resolution != of.explain || x.Series[n] != 4) {
				t.Errorf("%s, %d series, want %s", n.Selector.Resolution, x.Series[n], of.explain)
			}
			return true
		})
	}
}

// TestHistogramsAreReadRaw asks for series with native histograms, which windows do
// not tell of, and twice, so that results are kept.
func TestHistogramsAreReadRaw(t *testing.T) {
	engine := New(Options{CacheBytes: 1 << 20, CacheCostMin: -1})
	from := newThinned(t, dayOf(0, true, hour), dayOf(1, true, hour), dayOf(2, true))
	storeHistograms(t, from)
	from.Columnar = Local(from.db.DB(), series.DefaultTenant) // it may have been opened again
	raw := thinned{Columnar: from.Columnar}
	start, end := thinnedFrom+2*hour, thinnedFrom+2*day
	for _, query := range []string{
		`histogram_count(rate(hist[1h]))`, `histogram_sum(hist)`, `count_over_time(hist[1h])`, `rate(steady_total[1h])`,
	} {
		want := askThinned(t, engine, raw, query, start, end, hour, 0)
		for range 2 {
			got := askThinned(t, engine, from, query, start, end, hour, 0)
			if err := agree(got, want, 0); err != nil || len(got.points) == 0 {
				t.Errorf("%s: %d series, %v", query, len(got.points), err)
			}
		}
	}
}

// storeHistograms adds a series of native histograms to s.
func storeHistograms(t *testing.T, s thinned) {
	t.Helper()
	app := s.db.AppenderV2(t.Context())
	for k := range int64(2 * 24 * 12) {
		h := &histogram.Histogram{
			Count: uint64(k + 1), Sum: float64(3 * k), PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{k + 1},
		}
		if _, err := app.Append(0, labels.FromStrings("__name__", "hist", "i", "a"), 0, thinnedFrom+k*fiveMinutes, 0, h, nil, storage.AppendV2Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}
