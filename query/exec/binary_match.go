package exec

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/schema"
)

// signatures numbers the groups of series that a vector matching makes.
type signatures struct {
	on    bool
	names []string // sorted
	known map[string]int
	buf   []byte
}

func newSignatures(m *parser.VectorMatching) *signatures {
	s := &signatures{on: m.On, names: slices.Clone(m.MatchingLabels), known: map[string]int{}}
	if !m.On {
		s.names = append(s.names, model.MetricNameLabel, model.MetricTypeLabel, model.MetricUnitLabel)
	}
	slices.Sort(s.names)
	return s
}

// key returns what the series of a group have in common, valid until the next.
func (s *signatures) key(ls labels.Labels) []byte {
	if s.on {
		s.buf = ls.BytesWithLabels(s.buf, s.names...)
	} else {
		s.buf = ls.BytesWithoutLabels(s.buf, s.names...)
	}
	return s.buf
}

// find returns the group of a series, -1 if no series of it is known.
func (s *signatures) find(ls labels.Labels) int {
	if group, ok := s.known[string(s.key(ls))]; ok {
		return group
	}
	return -1
}

// add returns the group of a series, a new one if none is known.
func (s *signatures) add(ls labels.Labels) int {
	key := s.key(ls)
	group, ok := s.known[string(key)]
	if !ok {
		group = len(s.known)
		s.known[string(key)] = group
	}
	return group
}

// addAll returns the groups of series.
func (s *signatures) addAll(series []Series) []int {
	groups := make([]int, len(series))
	for i := range series {
		groups[i] = s.add(series[i].Labels)
	}
	return groups
}

// findAll returns the groups of series, -1 for those of unknown ones.
func (s *signatures) findAll(series []Series) []int {
	groups := make([]int, len(series))
	for i := range series {
		groups[i] = s.find(series[i].Labels)
	}
	return groups
}

// joinLabels makes the labels of results.
type joinLabels struct {
	*parser.VectorMatching
	dropsName bool
	builder   *labels.Builder
}

// of returns the labels that the matching looks at.
func (m *joinLabels) of(ls labels.Labels) labels.Labels {
	m.builder.Reset(ls)
	if m.On {
		m.builder.Keep(m.MatchingLabels...)
	} else {
		m.builder.Del(model.MetricNameLabel, model.MetricTypeLabel, model.MetricUnitLabel)
		m.builder.Del(m.MatchingLabels...)
	}
	return m.builder.Labels()
}

// result returns the labels of the result for series of the many and of the one
// side; of a match of one to one, for those of the left and of the right side.
func (m *joinLabels) result(many, one labels.Labels) labels.Labels {
	if m.dropsName {
		many = many.DropReserved(schema.IsMetadataLabel)
	}
	single := m.Card == parser.CardOneToOne
	if len(m.Include) == 0 && (!single || !m.On && len(m.MatchingLabels) == 0) {
		return many
	}
	m.builder.Reset(many)
	switch {
	case single && m.On:
		m.builder.Keep(m.MatchingLabels...)
	case single:
		m.builder.Del(m.MatchingLabels...)
	}
	for _, name := range m.Include {
		if v := one.Get(name); v != "" {
			m.builder.Set(name, v)
		} else {
			m.builder.Del(name)
		}
	}
	return m.builder.Labels()
}

// sameIncluded reports whether results get the same labels from a and b.
func (m *joinLabels) sameIncluded(a, b labels.Labels) bool {
	for _, name := range m.Include {
		if a.Get(name) != b.Get(name) {
			return false
		}
	}
	return true
}
