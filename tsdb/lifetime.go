package tsdb

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// Lifetime says how long samples are kept. Of a list the first one counts that
// applies to a tenant's samples of a resolution and selects the series; what none
// does is kept for ever.
type Lifetime struct {
	// Applies tells whether it is about a tenant's samples of a resolution; nil: it
	// is about all.
	Applies func(tenant series.TenantID, resolution uint8) bool
	// Selectors select the series that satisfy all matchers of one of them; nil: all.
	Selectors [][]*labels.Matcher
	// Keep is the age up to which samples are kept; 0: for ever.
	Keep time.Duration
}

// SetLifetimes changes how long samples are accepted and read, at once. What has
// been removed already does not come back.
func (db *DB) SetLifetimes(list []Lifetime) {
	list = slices.Clone(list)
	db.lifetimes.Store(&list)
}

// SetRetention changes how far back all samples are accepted and read; 0 means for
// ever.
func (db *DB) SetRetention(d time.Duration) { db.SetLifetimes([]Lifetime{{Keep: d}}) }

// forEver is the time from which on samples are kept that are kept for ever.
const forEver = math.MinInt64

// expiry is what has expired, at a moment, of a tenant's samples of a resolution.
type expiry struct {
	rules []expiryRule // at least one; the last selects all series
	// Of all rules: samples before first have expired whatever their series, those
	// from last on have not.
	first, last int64
}

// expiryRule is a lifetime that applies: samples before oldest have expired.
type expiryRule struct {
	number    int // in the list of lifetimes
	selectors [][]*labels.Matcher
	oldest    int64
}

// expiry returns what has expired at a time by the lifetimes in force.
func (db *DB) expiry(tenant series.TenantID, resolution uint8, now time.Time) expiry {
	return expiryBy(*db.lifetimes.Load(), tenant, resolution, now)
}

func expiryBy(list []Lifetime, tenant series.TenantID, resolution uint8, now time.Time) expiry {
	e := expiry{first: math.MaxInt64, last: math.MinInt64}
	add := func(r expiryRule) {
		e.rules = append(e.rules, r)
		e.first, e.last = min(e.first, r.oldest), max(e.last, r.oldest)
	}
	for number, l := range list {
		if l.Applies != nil && !l.Applies(tenant, resolution) {
			continue
		}
		r := expiryRule{number: number, selectors: l.Selectors, oldest: forEver}
		if l.Keep > 0 {
			r.oldest = now.Add(-l.Keep).UnixMilli()
		}
		add(r)
		if l.Selectors == nil {
			return e
		}
	}
	add(expiryRule{number: len(list), oldest: forEver})
	return e
}

// uniform reports whether all series are kept equally long.
func (e *expiry) uniform() bool { return e.first == e.last }

// oldest returns the time before which a series's samples have expired.
func (e *expiry) oldest(ls series.Labels) int64 {
	return e.rules[e.find(func(m *labels.Matcher) bool { return m.Matches(string(ls.Get(m.Name))) })].oldest
}

// find returns the rule of a series, of which meets tells what matchers it
// satisfies.
func (e *expiry) find(meets func(*labels.Matcher) bool) int {
	last := len(e.rules) - 1
	for i := range e.rules[:last] {
		for _, ms := range e.rules[i].selectors {
			if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !meets(m) }) {
				return i
			}
		}
	}
	return last
}

// expire finds out which series of a selection have less to read than the querier's
// range, and takes out those of which nothing up to maxt is left.
func (q *Querier) expire(list []entry, mint, maxt int64) []entry {
	if q.expiry.last <= max(mint, q.mint) {
		return list // all that is asked for is kept of every series
	}
	kept := list[:0]
	for _, e := range list {
		rule := q.expiry.find(func(m *labels.Matcher) bool { return m.Matches(e.labels.Get(m.Name)) })
		if e.rule = uint16(rule + 1); q.expiry.rules[rule].oldest <= maxt {
			kept = append(kept, e)
		}
	}
	clear(list[len(kept):])
	return kept
}

// oldestOf returns the time from which on a series is read, mint at least.
func (q *Querier) oldestOf(e *entry, mint int64) int64 {
	if e.rule == 0 {
		return mint
	}
	return max(mint, q.expiry.rules[e.rule-1].oldest)
}
