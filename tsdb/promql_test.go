package tsdb_test

import (
	"testing"

	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"

	"github.com/varve-db/varve/tsdb"
	"github.com/varve-db/varve/tsdb/tsdbtest"
)

// TestPrometheusScripts runs all of Prometheus's own test scripts on this
// storage; each load is appended, flushed and reopened before it is evaluated.
func TestPrometheusScripts(t *testing.T) {
	tsdb.Sequential(t)
	for _, mode := range tsdbtest.Modes {
		t.Run(mode, func(t *testing.T) {
			engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
			promqltest.RunBuiltinTestsWithStorage(t, engine, func(t testing.TB) storage.Storage { return tsdbtest.New(t, mode) })
		})
	}
}
