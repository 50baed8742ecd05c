package index

import "github.com/varve-db/varve/series"

// Newcomer is a series that is about to be created.
type Newcomer struct {
	Row  int // of the batch
	Have int // series of its tenant

	table  *Table
	tenant series.TenantID
	labels series.Labels
}

// MetricHas reports whether the tenant has at least n series of the newcomer's
// metric.
func (c *Newcomer) MetricHas(n int) bool {
	t := c.table
	id, ok := t.metricOf(c.labels)
	if !ok || t.pairs.postingsLen(id) < n { // of all tenants
		return n <= 0
	}
	return t.largeMetric(c.tenant, id) >= n
}

// Admit decides whether a series may be created. It is called while the table is
// locked, and must not wait.
type Admit func(c *Newcomer) bool

// ResolveWithin is Resolve for a tenant whose series are bounded: the refs of rows
// that admit turns away are 0.
func (t *Table) ResolveWithin(tenant series.TenantID, batch *series.Batch, epoch uint32, refs []Ref, admit Admit) (_ []Ref, created int) {
	start := len(refs)
	refs, misses := t.known(tenant, batch, epoch, refs)
	if misses > 0 {
		created = t.create(tenant, batch, epoch, refs[start:], newcomers{misses, admit})
	}
	return refs, created
}

// newcomers are the series of a request that are not known.
type newcomers struct {
	misses int
	admit  Admit // nil: all may come
}

// metricOf returns the pair that names a series' metric, if some series has it.
func (t *Table) metricOf(ls series.Labels) (pairID, bool) {
	for rest := ls; len(rest) > 0; {
		name, _, after, ok := rest.CutPair()
		if !ok {
			break
		}
		if string(name) == series.MetricName {
			return t.pairs.find(rest[:len(rest)-len(after)])
		}
		rest = after
	}
	return 0, false
}

// metricKey is a tenant's metric.
type metricKey struct {
	tenant series.TenantID
	metric pairID
}

// largeMetric counts a tenant's series of a metric. The count is kept until series
// leave, as long as MetricHas asks: only metrics near a limit are asked for.
func (t *Table) largeMetric(tenant series.TenantID, id pairID) int {
	key := metricKey{tenant, id}
	if n, counted := t.large[key]; counted {
		return n
	}
	n := 0
	var one [1]Ref
	for _, ref := range t.pairs.postings(id, &one) {
		if e := t.entry(ref); e.live && e.tenant == tenant {
			n++
		}
	}
	if t.large == nil {
		t.large = map[metricKey]int{}
	}
	t.large[key] = n
	return n
}

// grow counts a new series for its metric, if that is counted.
func (t *Table) grow(tenant series.TenantID, ls series.Labels) {
	if len(t.large) == 0 {
		return
	}
	if id, ok := t.metricOf(ls); ok {
		if n, counted := t.large[metricKey{tenant, id}]; counted {
			t.large[metricKey{tenant, id}] = n + 1
		}
	}
}
