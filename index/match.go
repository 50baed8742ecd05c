package index

import (
	"bytes"
	"slices"
	"strings"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// Matcher is a label matcher made ready for evaluation against values.
type Matcher struct {
	*labels.Matcher
	// Empty says that the matcher accepts a series without the label.
	Empty bool
	// Any says that it accepts every non-empty value.
	Any bool
}

// Prepare classifies matchers. Those that accept everything are left out.
func Prepare(ms []*labels.Matcher) []Matcher {
	out := make([]Matcher, 0, len(ms))
	for _, m := range ms {
		p := Matcher{Matcher: m, Empty: m.Matches("")}
		switch m.Type {
		case labels.MatchNotEqual:
			p.Any = m.Value == ""
		case labels.MatchRegexp:
			p.Any = m.Value == ".*" || m.Value == ".+"
			if m.Value == ".*" {
				continue
			}
		}
		out = append(out, p)
	}
	return out
}

// Literals returns the values that the matcher accepts or, for a negated one,
// excludes, when these are a known finite set.
func (m Matcher) Literals() ([]string, bool) {
	switch m.Type {
	case labels.MatchEqual, labels.MatchNotEqual:
		return []string{m.Value}, true
	default:
		set := m.SetMatches()
		return set, len(set) > 0
	}
}

// Negated reports whether the matcher is != or !~.
func (m Matcher) Negated() bool {
	return m.Type == labels.MatchNotEqual || m.Type == labels.MatchNotRegexp
}

// condition is a matcher evaluated against the pairs of a table: a series must
// have one of the pairs, or none of them if exclude is set.
type condition struct {
	exclude bool
	any     bool // every pair of the name
	name    *labelName
	ids     []pairID
	set     []uint64 // of ids, a bit each, when there are many
	total   int      // postings of ids together
}

const conditionSetMin = 8

// Match appends to dst the live series of tenant that satisfy all matchers, in
// no order.
func (t *Table) Match(tenant series.TenantID, ms []*labels.Matcher, dst []Ref) []Ref {
	prepared := Prepare(ms)
	t.mu.RLock()
	defer t.mu.RUnlock()
	conditions := make([]condition, 0, len(prepared))
	base := -1
	for _, m := range prepared {
		c, possible := t.evaluate(m)
		if !possible {
			return dst
		}
		conditions = append(conditions, c)
		if !c.exclude && (base < 0 || c.total < conditions[base].total) {
			base = len(conditions) - 1
		}
	}
	if base < 0 {
		for ref := Ref(1); ref < t.top; ref++ {
			dst = t.appendIf(dst, ref, tenant, conditions, base)
		}
		return dst
	}
	var one [1]Ref
	for _, id := range conditions[base].ids {
		for _, ref := range t.pairs.postings(id, &one) {
			dst = t.appendIf(dst, ref, tenant, conditions, base)
		}
	}
	return dst
}

// appendIf appends ref if it is live and satisfies the conditions but base.
func (t *Table) appendIf(dst []Ref, ref Ref, tenant series.TenantID, conditions []condition, base int) []Ref {
	e := t.entry(ref)
	if !e.live || e.tenant != tenant {
		return dst
	}
	ids := t.lists.get(e.labels, int(e.count))
	for i := range conditions {
		if i != base && !t.satisfies(ids, &conditions[i]) {
			return dst
		}
	}
	return append(dst, ref)
}

func (t *Table) satisfies(ids []pairID, c *condition) bool {
	for _, id := range ids {
		if c.has(id) {
			return !c.exclude
		}
	}
	return c.exclude
}

func (c *condition) has(id pairID) bool {
	if c.set != nil {
		return c.set[id/64]>>(id%64)&1 != 0
	}
	return slices.Contains(c.ids, id)
}

// evaluate finds the pairs that a matcher speaks of. possible is false when no
// series can satisfy it.
func (t *Table) evaluate(m Matcher) (c condition, possible bool) {
	c.exclude = m.Empty // then: no pair of the name that the matcher rejects
	c.name = t.pairs.names[m.Name]
	if c.name == nil {
		return c, m.Empty
	}
	literals, finite := m.Literals()
	switch {
	case m.Any && !m.Empty:
		c.ids = c.name.pairs
	case finite && m.Negated() == c.exclude:
		// The literals are exactly the pairs wanted, or exactly those excluded.
		var segment []byte
		for _, value := range literals {
			if value == "" {
				continue
			}
			segment = series.AppendLabels(segment[:0], labels.FromStrings(m.Name, value))
			if id, ok := t.pairs.find(segment); ok {
				c.ids = append(c.ids, id)
			}
		}
	default:
		prefix := ""
		if m.Type == labels.MatchRegexp {
			prefix = m.Prefix()
		}
		for _, id := range c.name.pairs {
			value := t.pairs.value(id)
			accepted := bytes.HasPrefix(value, []byte(prefix)) && m.Matches(textOf(value))
			if accepted != c.exclude {
				c.ids = append(c.ids, id)
			}
		}
	}
	for _, id := range c.ids {
		c.total += t.pairs.postingsLen(id)
	}
	if len(c.ids) >= conditionSetMin {
		c.set = make([]uint64, len(t.pairs.entries)/64+1)
		for _, id := range c.ids {
			c.set[id/64] |= 1 << (id % 64)
		}
	}
	return c, c.exclude || len(c.ids) > 0
}

// textOf lends b to a matcher, which does not keep it.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// LabelNames adds to names the label names of the live series of tenant.
func (t *Table) LabelNames(tenant series.TenantID, names map[string]struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for name, owner := range t.pairs.names {
		if _, ok := names[name]; !ok && slices.ContainsFunc(owner.pairs, func(id pairID) bool { return t.used(tenant, id) }) {
			names[strings.Clone(name)] = struct{}{}
		}
	}
}

// LabelValues adds to values the values of the label called name among the
// live series of tenant.
func (t *Table) LabelValues(tenant series.TenantID, name string, values map[string]struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	owner := t.pairs.names[name]
	if owner == nil {
		return
	}
	for _, id := range owner.pairs {
		if value := t.pairs.value(id); t.used(tenant, id) {
			values[string(value)] = struct{}{}
		}
	}
}

// ValuesOf adds to values the values of the label called name that refs have.
func (t *Table) ValuesOf(name string, refs []Ref, values map[string]struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	owner := t.pairs.names[name]
	if owner == nil {
		return
	}
	seen := make([]bool, len(owner.pairs)) // by position
	for _, ref := range refs {
		e := t.entry(ref)
		for _, id := range t.lists.get(e.labels, int(e.count)) {
			at := t.pairs.entries[id].position
			if int(at) >= len(owner.pairs) || owner.pairs[at] != id {
				continue // of another name
			}
			if !seen[at] {
				seen[at] = true
				values[string(t.pairs.value(id))] = struct{}{}
			}
			break
		}
	}
}

// used reports whether a live series of tenant has the pair.
func (t *Table) used(tenant series.TenantID, id pairID) bool {
	var one [1]Ref
	return slices.ContainsFunc(t.pairs.postings(id, &one), func(ref Ref) bool {
		e := t.entry(ref)
		return e.live && e.tenant == tenant
	})
}
