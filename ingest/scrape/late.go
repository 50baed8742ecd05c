package scrape

import (
	"math"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/series"
)

// leaveOutLate takes out of the batch the stale markers whose series have a
// sample at their time or after it. A target that went away and came back under
// another loop has newer samples when the old loop marks its series, and the
// storage, which takes samples in any order, would keep the marker as a gap.
// Where the storage cannot tell, the markers are left out: without them a series
// ends a lookback later.
func (t *transaction) leaveOutLate() {
	if len(t.markers) == 0 {
		return
	}
	late, err := t.findLate()
	if err != nil {
		t.scraper.options.Log.Warn("look for samples after stale markers failed", "err", err)
		late = t.markers
	}
	t.scraper.metrics.late.Add(float64(len(late)))
	slices.Sort(late)
	kept := t.batch.Rows[:0]
	for i, row := range t.batch.Rows {
		if len(late) > 0 && late[0] == i {
			late = late[1:]
			continue
		}
		kept = append(kept, row)
	}
	t.batch.Rows = kept
}

// markerGroup is markers whose series share labels, by which one selection finds
// them all.
type markerGroup struct {
	rows   map[string][]int  // by the labels as stored
	common map[string]string // labels of all
	first  int64             // time of the earliest
}

// findLate returns the markers' rows that come late.
func (t *transaction) findLate() ([]int, error) {
	var late []int
	for _, g := range t.markerGroups() {
		found, err := t.findLateOf(g)
		if err != nil {
			return nil, err
		}
		late = append(late, found...)
	}
	return late, nil
}

// markerGroups groups the markers by target: by job and instance, or by metric
// where there is neither.
func (t *transaction) markerGroups() map[string]*markerGroup {
	groups := map[string]*markerGroup{}
	for _, row := range t.markers {
		ls, ok := t.scraper.options.Stored(t.batch.Labels(row))
		if !ok {
			continue // it is not stored at all
		}
		key := string(ls.Get(model.JobLabel)) + "\xff" + string(ls.Get(model.InstanceLabel))
		if key == "\xff" {
			key = string(ls.Get(series.MetricName))
		}
		g := groups[key]
		if g == nil {
			g = &markerGroup{rows: map[string][]int{}, first: math.MaxInt64}
			groups[key] = g
		}
		g.rows[string(ls)] = append(g.rows[string(ls)], row)
		g.common = intersect(g.common, ls)
		g.first = min(g.first, t.time(row))
	}
	return groups
}

func (t *transaction) findLateOf(g *markerGroup) ([]int, error) {
	querier, err := t.scraper.stored.Querier(g.first, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	defer querier.Close()
	var late []int
	var scratch []byte
	var it chunkenc.Iterator
	set := querier.Select(t.ctx, false, nil, equalTo(g.common)...)
	for set.Next() {
		one := set.At()
		scratch = series.AppendLabels(scratch[:0], one.Labels())
		rows := g.rows[string(scratch)]
		if len(rows) == 0 {
			continue
		}
		it = one.Iterator(it)
		newest, found := newest(it)
		for _, row := range rows {
			if found && newest >= t.time(row) {
				late = append(late, row)
			}
		}
		if err := it.Err(); err != nil {
			return nil, err
		}
	}
	return late, set.Err()
}

// time returns the time of the marker that a row is.
func (t *transaction) time(row int) int64 { return t.batch.Timestamps[t.batch.Rows[row].Samples.Start] }

func newest(it chunkenc.Iterator) (at int64, found bool) {
	for it.Next() != chunkenc.ValNone {
		at, found = it.AtT(), true
	}
	return at, found
}

// intersect returns the labels that are both in common, unless it is nil, and in ls.
func intersect(common map[string]string, ls series.Labels) map[string]string {
	both := map[string]string{}
	for rest := ls; len(rest) > 0; {
		name, value, after, ok := rest.CutPair()
		if !ok {
			break
		}
		if common == nil || common[string(name)] == string(value) {
			both[string(name)] = string(value)
		}
		rest = after
	}
	return both
}

func equalTo(pairs map[string]string) []*labels.Matcher {
	var matchers []*labels.Matcher
	for name, value := range pairs {
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, name, value))
	}
	return matchers
}
