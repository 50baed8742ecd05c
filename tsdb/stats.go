package tsdb

import (
	"github.com/varve-db/varve/index"
)

// Stats describes the series in memory and the samples that wait to be flushed.
type Stats struct {
	index.Stats
	MinTime, MaxTime int64 // of the samples in memory, milliseconds; Min above Max if there are none
	Samples          int64 // that wait to be flushed
	Bytes            int64 // of the epochs
}

// Stats returns figures about what is in memory, at most limit entries a list.
func (db *DB) Stats(limit int) Stats {
	s := Stats{Stats: db.table.Stats(limit), MinTime: 1}
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
