package index

import (
	"cmp"
	"maps"
	"slices"

	"github.com/varve-db/varve/series"
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

// Stats returns figures about a tenant's series, at most limit entries a list.
func (t *Table) Stats(tenant series.TenantID, limit int) Stats {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := Stats{Series: uint64(t.tenants[tenant])}
	count := t.pairs.postingsLen
	if t.tenants[tenant] != t.live { // the postings have the series of others too
		own := t.pairsOf(tenant)
		count = func(id pairID) int { return own[id] }
	}
	for name, owner := range t.pairs.names {
		var size, values uint64
		for _, id := range owner.pairs {
			n := uint64(count(id))
			if n == 0 {
				continue
			}
			value := t.pairs.value(id)
			size += uint64(len(value))
			values++
			if name == "__name__" {
				s.SeriesByMetric = keepTop(s.SeriesByMetric, limit, n, func() string { return string(value) })
				s.DistinctMetrics++
			}
			s.SeriesByPair = keepTop(s.SeriesByPair, limit, n, func() string { return name + "=" + string(value) })
		}
		if values == 0 {
			continue
		}
		s.Pairs += values
		s.DistinctLabels++
		s.ValuesByLabel = keepTop(s.ValuesByLabel, limit, values, func() string { return name })
		s.BytesByLabel = keepTop(s.BytesByLabel, limit, size, func() string { return name })
	}
	return s
}

// pairsOf counts the tenant's series of each pair.
func (t *Table) pairsOf(tenant series.TenantID) map[pairID]int {
	counts := map[pairID]int{}
	for _, page := range t.pages {
		for i := range page {
			e := &page[i]
			if !e.live || e.tenant != tenant {
				continue
			}
			for _, id := range t.lists.get(e.labels, int(e.count)) {
				counts[id]++
			}
		}
	}
	return counts
}

// SeriesByTenant counts the series of each tenant.
func (t *Table) SeriesByTenant() map[series.TenantID]int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return maps.Clone(t.tenants)
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
