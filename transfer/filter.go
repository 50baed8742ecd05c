package transfer

import (
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Filter says what of a source is wanted. The zero value wants everything.
type Filter struct {
	// Start and End are times, both included; a zero time is no bound.
	Start, End time.Time
	// Selectors are alternatives; none selects every series.
	Selectors [][]*labels.Matcher
}

// bounds returns the times of a filter in milliseconds.
func (f Filter) bounds() (mint, maxt int64) {
	mint, maxt = math.MinInt64, math.MaxInt64
	if !f.Start.IsZero() {
		mint = f.Start.UnixMilli()
	}
	if !f.End.IsZero() {
		maxt = f.End.UnixMilli()
	}
	return mint, maxt
}

// ParseSelectors reads series selectors as PromQL writes them.
func ParseSelectors(texts []string) ([][]*labels.Matcher, error) {
	sets, err := parser.NewParser(parser.Options{}).ParseMetricSelectors(texts)
	if err != nil {
		return nil, fmt.Errorf("read a selector: %w", err)
	}
	return sets, nil
}

// wants reports whether a selector matches a series.
func (f Filter) wants(ls labels.Labels) bool {
	if len(f.Selectors) == 0 {
		return true
	}
	for _, selector := range f.Selectors {
		all := true
		for _, m := range selector {
			all = all && m.Matches(ls.Get(m.Name))
		}
		if all {
			return true
		}
	}
	return false
}

const dayMilliseconds = 24 * 60 * 60 * 1000

// daysOf cuts a range of times at midnights, UTC.
func daysOf(mint, maxt int64) []Part {
	var parts []Part
	for from := mint; from <= maxt; {
		end := from - mod(from, dayMilliseconds) + dayMilliseconds - 1
		to := min(end, maxt)
		parts = append(parts, Part{Name: time.UnixMilli(from).UTC().Format("2006-01-02"), Size: to - from + 1, from: from, to: to})
		from = to + 1
	}
	return parts
}

// mod is the remainder that is not negative.
func mod(n, of int64) int64 { return (n%of + of) % of }
