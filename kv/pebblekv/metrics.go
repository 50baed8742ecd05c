package pebblekv

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// fsyncBucketsEvery thins out Pebble's hundred buckets of fsync latency.
const fsyncBucketsEvery = 5

// metrics collects the store's figures when it is asked, from one reading of the
// engine's.
type metrics struct {
	store *Store
	fsync *prometheus.Desc
	plain []plainMetric
}

// plainMetric is a metric that is one number.
type plainMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*Store, *pebble.Metrics) float64
}

func newMetrics(s *Store) *metrics {
	m := &metrics{store: s, fsync: describe("fsync_seconds", "Duration of the fsyncs of the write-ahead log.")}
	for _, table := range [][]plainRow{workRows, stateRows} {
		for _, row := range table {
			m.plain = append(m.plain, plainMetric{describe(row.name, row.help), row.kind, row.value})
		}
	}
	return m
}

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("varve_kv_"+name, help, nil, nil)
}

type plainRow struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*Store, *pebble.Metrics) float64
}

// workRows count what was done.
var workRows = []plainRow{
	{"commits_total", "Batches committed.", prometheus.CounterValue,
		func(s *Store, _ *pebble.Metrics) float64 { return float64(s.events.commits.Load()) }},
	{"commit_bytes_total", "Bytes of keys and values in committed batches.", prometheus.CounterValue,
		func(s *Store, _ *pebble.Metrics) float64 { return float64(s.events.commitBytes.Load()) }},
	{"written_bytes_total", "Bytes written to the log and to tables.", prometheus.CounterValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(writtenBytes(m)) }},
	{"cache_hits_total", "Blocks found in the cache.", prometheus.CounterValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.BlockCache.Hits) }},
	{"cache_misses_total", "Blocks read from disk.", prometheus.CounterValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.BlockCache.Misses) }},
	{"filter_hits_total", "Table reads that a bloom filter saved.", prometheus.CounterValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.Filter.Hits) }},
	{"filter_misses_total", "Table reads that a bloom filter did not save.", prometheus.CounterValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.Filter.Misses) }},
	{"compactions_total", "Compactions done.", prometheus.CounterValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.Compact.Count) }},
	{"ingests_total", "Ingests of tables done.", prometheus.CounterValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.Ingest.Count) }},
	{"full_refusals_total", "Writes refused because the disk reserve is reached.", prometheus.CounterValue,
		func(s *Store, _ *pebble.Metrics) float64 { return float64(s.space.refused.Load()) }},
	{"disk_full_total", "Writes that met a full disk.", prometheus.CounterValue,
		func(s *Store, _ *pebble.Metrics) float64 { return float64(s.space.fullEvents.Load()) }},
	{"corrupt_tables_total", "Tables found damaged.", prometheus.CounterValue,
		func(s *Store, _ *pebble.Metrics) float64 { return float64(s.events.corrupt.Load()) }},
	{"background_errors_total", "Flushes and compactions that failed.", prometheus.CounterValue,
		func(s *Store, _ *pebble.Metrics) float64 { return float64(s.events.backgroundErrors.Load()) }},
	{"slow_disk_total", "Disk operations that took more than five seconds.", prometheus.CounterValue,
		func(s *Store, _ *pebble.Metrics) float64 { return float64(s.events.slowWrites.Load()) }},
	{"write_stalls_total", "Times that writers had to wait for flushes or compactions.", prometheus.CounterValue,
		func(s *Store, _ *pebble.Metrics) float64 { return float64(s.events.stalls.Load()) }},
}

// stateRows tell how things are.
var stateRows = []plainRow{
	{"cache_bytes", "Bytes of blocks in the cache.", prometheus.GaugeValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.BlockCache.Size) }},
	{"memtable_bytes", "Bytes allocated by memtables.", prometheus.GaugeValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.MemTable.Size) }},
	{"compaction_debt_bytes", "Bytes that compactions still have to move.", prometheus.GaugeValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.Compact.EstimatedDebt) }},
	{"l0_files", "Tables in the first level.", prometheus.GaugeValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.Levels[0].TablesCount) }},
	{"l0_sublevels", "Tables of the first level that one read may have to ask.", prometheus.GaugeValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.Levels[0].Sublevels) }},
	{"log_bytes", "Bytes of live data in the write-ahead log.", prometheus.GaugeValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.WAL.Size) }},
	{"disk_bytes", "Bytes that the store takes on disk.", prometheus.GaugeValue,
		func(_ *Store, m *pebble.Metrics) float64 { return float64(m.DiskSpaceUsage()) }},
	{"free_bytes", "Free bytes of the disk, or -1 if it does not tell.", prometheus.GaugeValue,
		func(s *Store, _ *pebble.Metrics) float64 {
			if free, known := s.space.left(0); known {
				return float64(free)
			}
			return -1
		}},
	{"reserve_bytes", "Free bytes below which writes are refused.", prometheus.GaugeValue,
		func(s *Store, _ *pebble.Metrics) float64 { return float64(max(s.space.reserve, 0)) }},
}

func writtenBytes(m *pebble.Metrics) uint64 {
	n := m.WAL.BytesWritten
	for i := range m.Levels {
		l := &m.Levels[i]
		n += l.TableBytesFlushed + l.TableBytesCompacted + l.TableBytesIngested
	}
	return n
}

// Describe is part of prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.fsync
	for _, p := range m.plain {
		to <- p.desc
	}
}

// Collect is part of prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	if m.store.enter("collect metrics") != nil {
		return
	}
	defer m.store.leave()
	figures := m.store.db.Metrics()
	for _, p := range m.plain {
		to <- prometheus.MustNewConstMetric(p.desc, p.kind, p.value(m.store, figures))
	}
	if fsync := m.fsyncSeconds(figures); fsync != nil {
		to <- fsync
	}
}

// fsyncSeconds turns Pebble's histogram of nanoseconds into one of seconds.
func (m *metrics) fsyncSeconds(figures *pebble.Metrics) prometheus.Metric {
	if figures.LogWriter.FsyncLatency == nil {
		return nil
	}
	var read dto.Metric
	if err := figures.LogWriter.FsyncLatency.Write(&read); err != nil {
		return prometheus.NewInvalidMetric(m.fsync, err)
	}
	h := read.GetHistogram()
	buckets := map[float64]uint64{}
	for i, b := range h.GetBucket() {
		if i%fsyncBucketsEvery == fsyncBucketsEvery-1 {
			buckets[b.GetUpperBound()/float64(time.Second)] = b.GetCumulativeCount()
		}
	}
	sum := h.GetSampleSum() / float64(time.Second)
	metric, err := prometheus.NewConstHistogram(m.fsync, h.GetSampleCount(), sum, buckets)
	if err != nil {
		return prometheus.NewInvalidMetric(m.fsync, err)
	}
	return metric
}
