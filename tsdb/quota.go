package tsdb

import (
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
)

// Quota bounds the series that a tenant has in memory.
type Quota interface {
	// Admit returns why a tenant with so many series may not have a new one, ""
	// if it may. metricHas tells whether it has that many of the new one's metric.
	// It is called while the index is locked, and must not wait.
	Admit(tenant series.TenantID, have int, metricHas func(n int) bool) series.Reason
	// Refused is told of each series that was not created.
	Refused(tenant series.TenantID, ls series.Labels)
	// Describe says in words which limit a request met, after all its series
	// were told.
	Describe(tenant series.TenantID, reason series.Reason) string
}

// resolve finds the series of a batch, or creates them. Rows of series that the
// tenant may not have leave the batch; those of series that are there already
// stay, whatever the quota.
func (db *DB) resolve(tenant series.TenantID, batch *series.Batch, epoch uint32, refs []index.Ref, outcome *series.Outcome) (_ []index.Ref, created int) {
	quota := db.options.Quota
	if quota == nil {
		return db.table.Resolve(tenant, batch, epoch, refs)
	}
	var reasons map[int]series.Reason // by row
	refs, created = db.table.ResolveWithin(tenant, batch, epoch, refs, func(c *index.Newcomer) bool {
		reason := quota.Admit(tenant, c.Have, c.MetricHas)
		if reason == "" {
			return true
		}
		if reasons == nil {
			reasons = map[int]series.Reason{}
		}
		reasons[c.Row] = reason
		return false
	})
	if reasons == nil {
		return refs, created
	}
	for row := range reasons {
		quota.Refused(tenant, batch.Labels(row))
	}
	kept := 0
	for i, ref := range refs {
		row := batch.Rows[i]
		if ref != 0 {
			batch.Rows[kept], refs[kept] = row, ref
			kept++
			continue
		}
		ls := batch.Labels(i)
		outcome.Samples -= row.Samples.Len()
		outcome.Histograms -= row.Histograms.Len()
		outcome.Exemplars -= row.Exemplars.Len()
		outcome.Refused.Add(reasons[i], row.Samples.Len(), row.Histograms.Len(), row.Exemplars.Len(), func() (string, string) {
			return ls.String(), quota.Describe(tenant, reasons[i])
		})
	}
	batch.Rows = batch.Rows[:kept]
	return refs[:kept], created
}
