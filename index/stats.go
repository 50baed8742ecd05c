package index

import (
	"cmp"
	"slices"
)

// Count is a name with a number.
type Count struct {
	Name  string
	Value uint64
}

// Stats describes what is in a Table.
type Stats struct {
	Series          uint64
	Pairs           uint64
	SeriesByMetric  []Count // series of each metric name, most first
	ValuesByLabel   []Count // distinct values of each label name
	BytesByLabel    []Count // bytes of the distinct values of each label name
	SeriesByPair    []Count // series of each "name=value"
	DistinctLabels  uint64
	DistinctMetrics uint64
}

// Stats returns figures over all tenants, at most limit entries a list.
func (t *Table) Stats(limit int) Stats {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := Stats{Series: uint64(t.live), Pairs: uint64(t.pairs.live), DistinctLabels: uint64(len(t.pairs.names))}
	for name, owner := range t.pairs.names {
		var size uint64
		for _, id := range owner.pairs {
			value := t.pairs.value(id)
			size += uint64(len(value))
			n := uint64(t.pairs.postingsLen(id))
			if name == "__name__" {
				s.SeriesByMetric = keepTop(s.SeriesByMetric, limit, n, func() string { return string(value) })
				s.DistinctMetrics++
			}
			s.SeriesByPair = keepTop(s.SeriesByPair, limit, n, func() string { return name + "=" + string(value) })
		}
		s.ValuesByLabel = keepTop(s.ValuesByLabel, limit, uint64(len(owner.pairs)), func() string { return name })
		s.BytesByLabel = keepTop(s.BytesByLabel, limit, size, func() string { return name })
	}
	return s
}

// keepTop inserts a count into a list of the limit greatest, most first.
func keepTop(list []Count, limit int, value uint64, name func() string) []Count {
	if len(list) >= limit && (limit == 0 || list[len(list)-1].Value > value) {
		return list
	}
	c := Count{name(), value}
	i, _ := slices.BinarySearchFunc(list, c, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name))
	})
	list = slices.Insert(list, i, c)
	return list[:min(len(list), limit)]
}
