package query

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/query/plan"
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
			from := thinned{raw.Columnar, state.parts}
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
