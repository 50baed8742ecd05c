package tsdb

import (
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
)

// Stats describes the series in memory and the samples that wait to be flushed.
type Stats struct {
	index.Stats
	MinTime, MaxTime int64 // of the samples in memory, milliseconds; Min above Max if there are none
	Samples          int64 // that wait to be flushed
	Bytes            int64 // of the epochs
}

// SeriesByTenant counts the series in memory of each tenant.
func (db *DB) SeriesByTenant() map[series.TenantID]int { return db.table.SeriesByTenant() }

// Churn returns what series of a tenant came into memory in the last hour, at most
// limit entries a list.
func (db *DB) Churn(tenant series.TenantID, limit int) index.Churn {
	return db.table.Churn(tenant, limit)
}

// Stats returns figures about a tenant's series in memory, at most limit entries a
// list, and about the epochs of all tenants.
func (db *DB) Stats(tenant series.TenantID, limit int) Stats {
	s := Stats{Stats: db.table.Stats(tenant, limit), MinTime: 1}
	s.Samples, s.Bytes = db.unflushed()
	v, err := db.acquire()
	if err != nil {
		return s
	}
	defer db.release(v)
	for _, e := range v.epochs {
		lo, hi := e.Range()
		switch {
		case lo > hi:
		case s.MinTime > s.MaxTime:
			s.MinTime, s.MaxTime = lo, hi
		default:
			s.MinTime, s.MaxTime = min(s.MinTime, lo), max(s.MaxTime, hi)
		}
	}
	return s
}
