package block

import (
	"encoding/binary"
	"strings"
	"unsafe"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
)

// filterMax is up to how many candidates the labels themselves are tested
// rather than all values of a label.
const filterMax = 2048

// Match returns the ordinals of the series that satisfy ms, a superset if
// pending is not empty: those matchers are left to be tested on the labels.
func (r *Reader) Match(ms []index.Matcher) (found *roaring.Bitmap, pending []index.Matcher, err error) {
	it, err := r.store.Scan(r.key(familyPostings), r.key(familyPostings+1))
	if err != nil {
		return nil, nil, err
	}
	defer it.Close()
	m := matching{reader: r, it: it}
	// The cheap conditions first: known values that a series must have.
	var rest []index.Matcher
	for _, matcher := range ms {
		literals, finite := matcher.Literals()
		if !finite || matcher.Negated() || matcher.Empty {
			rest = append(rest, matcher)
			continue
		}
		set := roaring.New()
		for _, value := range literals {
			if err := m.addValue(set, matcher.Name, value); err != nil {
				return nil, nil, err
			}
		}
		if m.intersect(set); m.found.IsEmpty() {
			return m.found, nil, nil
		}
	}
	for _, matcher := range rest {
		if m.found != nil && m.found.GetCardinality() <= filterMax {
			pending = append(pending, matcher)
			continue
		}
		if err := m.apply(matcher); err != nil {
			return nil, nil, err
		}
		if m.found.IsEmpty() {
			return m.found, nil, nil
		}
	}
	if m.found == nil {
		m.found = r.all()
	}
	return m.found, pending, nil
}

func (r *Reader) all() *roaring.Bitmap {
	set := roaring.New()
	set.AddRange(0, uint64(r.ordinals))
	return set
}

// matching is the state of one Match.
type matching struct {
	reader *Reader
	it     kv.Iterator
	found  *roaring.Bitmap // nil: every series
}

func (m *matching) intersect(set *roaring.Bitmap) {
	if m.found == nil {
		m.found = set
	} else {
		m.found.And(set)
	}
}

// apply evaluates a matcher over all values of its label.
func (m *matching) apply(matcher index.Matcher) error {
	column, err := m.reader.column(matcher.Name)
	if err != nil {
		return err
	}
	if column != nil {
		m.intersect(column.wanted(matcher.Matches).bitmap())
		return nil
	}
	// A series without the label is accepted if the matcher accepts the empty
	// value: then those with a rejected value are taken away.
	dense := newOrdinalSet(m.reader.ordinals)
	prefix := ""
	if !matcher.Empty && !matcher.Negated() {
		prefix = matcher.Prefix()
	}
	err = m.values(matcher.Name, prefix, func(value []byte) bool {
		accepted := matcher.Any || matcher.Matches(unsafe.String(unsafe.SliceData(value), len(value)))
		return accepted != matcher.Empty
	}, func(row []byte) error { return dense.add(row, m.reader.ordinals) })
	if err != nil {
		return err
	}
	set := dense.bitmap()
	if !matcher.Empty {
		m.intersect(set)
		return nil
	}
	if m.found == nil {
		m.found = m.reader.all()
	}
	m.found.AndNot(set)
	return nil
}

// addValue adds the series that have the label to set.
func (m *matching) addValue(set *roaring.Bitmap, name, value string) error {
	if value == "" {
		return nil
	}
	key := keyspace.AppendString(keyspace.AppendString(m.reader.key(familyPostings), name), value)
	for ok := m.it.SeekGE(key); ok && len(m.it.Key()) == len(key)+4 && string(m.it.Key()[:len(key)]) == string(key); ok = m.it.Next() {
		if !m.visible() {
			continue
		}
		if err := addPostings(set, m.it.Value(), m.reader.ordinals); err != nil {
			return err
		}
	}
	return m.it.Err()
}

// visible reports whether the row at the iterator belongs to a flush that the
// reader knows.
func (m *matching) visible() bool {
	key := m.it.Key()
	return binary.BigEndian.Uint32(key[len(key)-4:]) <= m.reader.lastFlush
}

// values visits the postings rows of the label's values that begin with prefix
// and that accept wants.
func (m *matching) values(name, prefix string, accept func(value []byte) bool, visit func(row []byte) error) error {
	named := keyspace.AppendString(m.reader.key(familyPostings), name)
	from := keyspace.AppendString(named[:len(named):len(named)], prefix)
	from = from[:len(from)-len(keyspace.AppendString(nil, ""))] // without the end mark: values that begin so
	var last []byte                                             // the encoded value that wanted is about
	var have, wanted bool
	for ok := m.it.SeekGE(from); ok && len(m.it.Key()) >= len(from) && string(m.it.Key()[:len(from)]) == string(from); ok = m.it.Next() {
		key := m.it.Key()
		encoded := key[len(named) : len(key)-4]
		if !have || string(encoded) != string(last) {
			value, _, err := keyspace.CutString(encoded)
			if err != nil {
				return err
			}
			last, have = append(last[:0], encoded...), true
			wanted = accept(unsafe.Slice(unsafe.StringData(value), len(value)))
		}
		if wanted && m.visible() {
			if err := visit(m.it.Value()); err != nil {
				return err
			}
		}
	}
	return m.it.Err()
}

// Accepts reports whether ls satisfies the matchers.
func Accepts(ms []index.Matcher, ls series.Labels) bool {
	for _, m := range ms {
		value := ls.Get(m.Name)
		if !m.Matches(unsafe.String(unsafe.SliceData(value), len(value))) {
			return false
		}
	}
	return true
}

// LabelNames adds the generation's label names to names.
func (r *Reader) LabelNames(names map[string]struct{}) error {
	lower := r.key(familyPostings)
	it, err := r.store.Scan(lower, r.key(familyPostings+1))
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.SeekGE(lower); ok; {
		name, _, err := keyspace.CutString(it.Key()[len(lower):])
		if err != nil {
			return err
		}
		if m := (matching{reader: r, it: it}); !m.visible() { // a flush that came later
			ok = it.Next()
			continue
		}
		names[strings.Clone(name)] = struct{}{}
		ok = it.SeekGE(keyspace.PrefixEnd(keyspace.AppendString(lower[:len(lower):len(lower)], name)))
	}
	return it.Err()
}

// LabelValues adds the values of the label called name to values: all of them,
// or, if within is not nil, those of the series in it.
func (r *Reader) LabelValues(name string, within *roaring.Bitmap, values map[string]struct{}) error {
	it, err := r.store.Scan(r.key(familyPostings), r.key(familyPostings+1))
	if err != nil {
		return err
	}
	defer it.Close()
	m := matching{reader: r, it: it}
	var current string
	var dense ordinalSet
	if within != nil {
		dense = ordinalSetOf(within, r.ordinals)
	}
	return m.values(name, "", func(value []byte) bool {
		current = string(value)
		_, known := values[current]
		return !known
	}, func(row []byte) error {
		if within != nil {
			if met, err := dense.meets(row, r.ordinals); err != nil || !met {
				return err
			}
		}
		values[current] = struct{}{}
		return nil
	})
}

// ValuesWithin is LabelValues for the series in within, where the label's values are
// to be had as a column; else ok is false.
func (r *Reader) ValuesWithin(name string, within *roaring.Bitmap, values map[string]struct{}) (ok bool, err error) {
	column, err := r.column(name)
	if column == nil || err != nil {
		return false, err
	}
	column.add(values, within)
	return true, nil
}

// Metric returns the ordinals of the series with the metric name, or, if it is
// empty, of those without one.
func (r *Reader) Metric(name string) (*roaring.Bitmap, error) {
	m, err := labels.NewMatcher(labels.MatchEqual, series.MetricName, name)
	if err != nil {
		return nil, err
	}
	found, _, err := r.Match(index.Prepare([]*labels.Matcher{m}))
	return found, err
}
