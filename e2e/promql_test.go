//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// question is a query whose answers are compared.
type question struct {
	query string
	// sums marks answers that add up values of several series: the order of the
	// additions may differ, and with it the last bits.
	sums bool
	// ordered marks instant answers whose order is part of the answer.
	ordered bool
	// fails marks queries that must not be answered when there is data.
	fails bool
}

// sumTolerance is how far sums may be apart, relative to themselves.
const sumTolerance = 1e-12

// window is the time that questions are about.
type window struct {
	start, end time.Time
	step       time.Duration
	instants   []time.Time
}

// windowOf ends after all series have ended, and has instants before and after.
func windowOf(all span) window {
	end := time.UnixMilli(all.to).Truncate(time.Second)
	start := end.Add(-50 * time.Second)
	return window{
		start: start, end: end.Add(10 * time.Second), step: 3700 * time.Millisecond,
		instants: []time.Time{start.Add(9123 * time.Millisecond), end.Add(-12 * time.Second), end.Add(5 * time.Second)},
	}
}

// comparePromQL asks the server and the reference the same questions.
func comparePromQL(t *testing.T, n *node, r *reference, all span) {
	w := windowOf(all)
	asked, failed, empty := 0, 0, 0
	for _, q := range questions {
		complain := func(how, what string) {
			failed++
			t.Errorf("%s %s:\n  %s", q.query, how, what)
		}
		answered := false
		compare := func(how string, want result, wantErr error, got reply) {
			asked++
			if what := q.compare(t, want, wantErr, got); what != "" {
				complain(how, what)
			}
			if q.fails {
				answered = answered || wantErr != nil
				return
			}
			if wantErr != nil {
				complain(how, fmt.Sprintf("the reference fails: %v", wantErr))
			}
			answered = answered || len(want.series) > 0 || want.text != ""
		}
		for _, at := range w.instants {
			want, err := r.instant(q.query, at)
			got := n.ask("/api/v1/query", "query", q.query, "time", seconds(at))
			compare(fmt.Sprintf("at %s", seconds(at)), want, err, got)
		}
		if !strings.HasSuffix(q.query, "]") && !strings.HasPrefix(q.query, `"`) { // those are no range queries
			want, err := r.ranged(q.query, w.start, w.end, w.step)
			got := n.ask("/api/v1/query_range", "query", q.query, "start", seconds(w.start), "end", seconds(w.end), "step", fmt.Sprint(w.step.Seconds()))
			compare("over time", want, err, got)
		}
		if !answered {
			empty++
			t.Logf("%s has no answer", q.query)
		}
	}
	t.Logf("%d questions, asked %d times: %d answers differ, %d questions have no answer", len(questions), asked, failed, empty)
	if empty > len(questions)/10 {
		t.Errorf("%d of %d questions have no answer: they compare nothing", empty, len(questions))
	}
}

func (q question) compare(t *testing.T, want result, wantErr error, got reply) string {
	t.Helper()
	if wantErr != nil {
		if got.status == 200 {
			return fmt.Sprintf("it has an answer, the reference says %v", wantErr)
		}
		return ""
	}
	if got.status != 200 {
		return fmt.Sprintf("status %d: %.300s", got.status, got.body)
	}
	answer := got.envelope(t)
	parsed, err := parseResult(answer.Data)
	if err != nil {
		return err.Error()
	}
	if w, g := remarks(want.warnings), remarks(answer.Warnings); w != g {
		return fmt.Sprintf("the warnings are\n    %s\n  not\n    %s", g, w)
	}
	if w, g := remarks(want.infos), remarks(answer.Infos); w != g {
		return fmt.Sprintf("the infos are\n    %s\n  not\n    %s", g, w)
	}
	if !q.ordered && parsed.kind == "vector" {
		want, parsed = want.byLabels(), parsed.byLabels()
	}
	tolerance := 0.0
	if q.sums {
		tolerance = sumTolerance
	}
	return want.differs(parsed, tolerance)
}

// remarks puts annotations in order.
func remarks(texts []string) string {
	return strings.Join(slices.Sorted(slices.Values(texts)), "\n    ")
}

func seconds(t time.Time) string { return fmt.Sprintf("%d.%03d", t.Unix(), t.Nanosecond()/1e6) }
