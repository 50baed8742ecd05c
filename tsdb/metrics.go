package tsdb

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varve-db/varve/series"
)

// metrics are the figures of one DB.
type metrics struct {
	registerer prometheus.Registerer
	collectors []prometheus.Collector

	samples, histograms, exemplars, created prometheus.Counter
	refusals                                *prometheus.CounterVec
	conflicts, flushSamples, flushBytes     prometheus.Counter
	flushes, flushSeries, dropped, damaged  prometheus.Counter
	seals                                   struct{ failures, samples, in, out prometheus.Counter }
	downsamples                             struct{ failures, samples, windows, bytes, seconds prometheus.Counter }
	deletes                                 struct{ samples, bytes prometheus.Counter }
	flushSeconds, sealSeconds               prometheus.Histogram
}

func newMetrics(db *DB, r prometheus.Registerer) *metrics {
	m := &metrics{registerer: r}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "varve_tsdb_" + name, Help: help})
		m.collectors = append(m.collectors, c)
		return c
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "varve_tsdb_" + name, Help: help}, labels)
		m.collectors = append(m.collectors, c)
		return c
	}
	gauge := func(name, help string, value func() float64) {
		m.collectors = append(m.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "varve_tsdb_" + name, Help: help}, value))
	}
	m.samples = counter("appended_samples_total", "Float samples stored.")
	m.histograms = counter("appended_histograms_total", "Native histogram samples stored.")
	m.exemplars = counter("appended_exemplars_total", "Exemplars stored.")
	m.created = counter("created_series_total", "Series that came into memory.")
	m.refusals = vector("refused_samples_total", "Samples, histograms and exemplars refused, by reason.", "reason")
	m.conflicts = counter("conflicting_samples_total", "Samples that met another one with the same timestamp and another value.")
	m.flushes = counter("flushes_total", "Epochs written out as chunks.")
	m.flushSamples = counter("flushed_samples_total", "Samples written out as chunks.")
	m.flushBytes = counter("flushed_chunk_bytes_total", "Bytes of chunks written out.")
	m.flushSeries = counter("flushed_new_series_total", "Series whose labels were written into a generation.")
	m.dropped = counter("dropped_generations_total", "Generations dropped by retention.")
	m.damaged = counter("damaged_rows_total", "Flushes and indexes found damaged and left out of answers.")
	m.seals.failures = counter("seal_failures_total", "Seals that failed.")
	m.seals.samples = counter("sealed_samples_total", "Samples written into sealed generations.")
	m.seals.in = counter("seal_read_bytes_total", "Bytes of chunks that seals read.")
	m.seals.out = counter("seal_written_bytes_total", "Bytes of chunks and timestamps that seals wrote.")
	m.downsamples.failures = counter("downsample_failures_total", "Partitions of which windows could not be made.")
	m.downsamples.samples = counter("downsampled_samples_total", "Samples of which windows were made.")
	m.downsamples.windows = counter("downsampled_windows_total", "Windows made of samples.")
	m.downsamples.bytes = counter("downsample_written_bytes_total", "Bytes of windows written.")
	m.downsamples.seconds = counter("downsample_seconds_total", "Time that making windows took.")
	m.deletes.samples = counter("deleted_samples_total", "Samples deleted on request.")
	m.deletes.bytes = counter("deleted_bytes_total", "Bytes of chunks and timestamps that deletions freed.")
	m.sealSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "varve_tsdb_seal_seconds", Help: "Time that sealing a partition took.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 9),
	})
	m.collectors = append(m.collectors, m.sealSeconds)
	m.flushSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "varve_tsdb_flush_seconds", Help: "Time that flushing an epoch took.", Buckets: prometheus.ExponentialBuckets(0.01, 3, 9),
	})
	m.collectors = append(m.collectors, m.flushSeconds)
	gauge("series_in_memory", "Series that are in memory.", func() float64 { return float64(db.table.Len()) })
	gauge("head_samples", "Samples that wait to be flushed.", func() float64 { n, _ := db.unflushed(); return float64(n) })
	gauge("head_bytes", "Memory of the epochs.", func() float64 { _, n := db.unflushed(); return float64(n) })
	gauge("facts_cache_bytes", "Values of labels, times of newest samples and selections of sealed generations that are kept.", func() float64 { return float64(db.facts.Bytes()) })
	gauge("times_cache_bytes", "Decoded timestamps of sealed generations that are kept.", func() float64 { return float64(db.times.Bytes()) })
	gauge("frozen_epochs", "Epochs that wait to be flushed.", func() float64 { return float64(max(0, db.frozen())) })
	gauge("epoch_age_seconds", "Age of the epoch that takes appends.", db.epochSeconds)
	gauge("generations", "Generations on disk.", func() float64 { return float64(db.generationCount()) })
	m.addSealing(&db.sealing)
	if r != nil {
		for _, c := range m.collectors {
			r.MustRegister(c)
		}
	}
	return m
}

// downsampled counts a partition of which windows were made.
func (m *metrics) downsampled(r *DownsampleReport) {
	m.downsamples.samples.Add(float64(r.Samples))
	m.downsamples.windows.Add(float64(r.Windows))
	m.downsamples.bytes.Add(float64(r.BytesOut))
	m.downsamples.seconds.Add(r.Took.Seconds())
}

// deleted counts a deletion.
func (m *metrics) deleted(r *DeletionReport) {
	m.deletes.samples.Add(float64(r.Samples))
	m.deletes.bytes.Add(float64(max(r.BytesFreed, 0)))
}

// addSealing adds what tells how far the running seal is. All are 0 when none runs.
func (m *metrics) addSealing(p *sealProgress) {
	gauge := func(name, help string, value func() float64) {
		m.collectors = append(m.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "varve_tsdb_seal" + name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		m.collectors = append(m.collectors, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "varve_tsdb_seal_" + name, Help: help}, value))
	}
	gauge("s_running", "Seals that are running.", func() float64 {
		if p.running.Load() {
			return 1
		}
		return 0
	})
	gauge("_series", "Series that the running seal has to merge, each once for every generation that has it.", func() float64 { return float64(p.seriesAll.Load()) })
	gauge("_series_done", "Series that the running seal has merged.", func() float64 { return float64(p.series.Load()) })
	gauge("_samples", "Samples that the running seal has to merge.", func() float64 { return float64(p.samplesAll.Load()) })
	gauge("_samples_done", "Samples that the running seal has written; those that came twice count once.", func() float64 { return float64(p.samples.Load()) })
	gauge("_start_time_seconds", "When the running seal began, in seconds since 1970.", func() float64 { return float64(p.started.Load()) / 1000 })
	counter("waits_total", "Times that a seal waited for queries.", func() float64 { return float64(p.waitsTotal.Load()) })
	counter("waited_seconds_total", "Time that seals waited for queries.", func() float64 { return time.Duration(p.waitedTotal.Load()).Seconds() })
}

func (m *metrics) unregister() {
	if m.registerer != nil {
		for _, c := range m.collectors {
			m.registerer.Unregister(c)
		}
	}
}

func (m *metrics) appended(o *series.Outcome, created int) {
	m.samples.Add(float64(o.Samples))
	m.histograms.Add(float64(o.Histograms))
	m.exemplars.Add(float64(o.Exemplars))
	m.created.Add(float64(created))
	m.refused(o.Refused)
}

func (m *metrics) refused(r series.Refusals) {
	for _, e := range r.All() {
		m.refusals.WithLabelValues(string(e.Reason)).Add(float64(e.Samples + e.Histograms + e.Exemplars))
	}
}

func (m *metrics) flushed(f *flusher, took time.Duration) {
	m.flushes.Inc()
	m.flushSamples.Add(float64(f.samples))
	m.flushBytes.Add(float64(f.chunkBytes))
	m.flushSeries.Add(float64(f.newSeries))
	m.conflicts.Add(float64(f.conflicts) + float64(f.epoch.Conflicts()))
	m.flushSeconds.Observe(took.Seconds())
}

func (m *metrics) sealed(r *SealReport) {
	m.seals.samples.Add(float64(r.Samples))
	m.seals.in.Add(float64(r.BytesIn))
	m.seals.out.Add(float64(r.BytesOut))
	m.conflicts.Add(float64(r.Conflicts))
	m.sealSeconds.Observe(r.Took.Seconds())
}

// unflushed returns the samples that wait to be flushed, and the memory of all
// epochs.
func (db *DB) unflushed() (samples, bytes int64) {
	v, err := db.acquire()
	if err != nil {
		return 0, 0
	}
	defer db.release(v)
	for _, e := range v.epochs {
		if !e.flushed {
			samples += e.Samples()
		}
		bytes += e.Bytes()
	}
	return samples, bytes
}

func (db *DB) generationCount() int {
	v, err := db.acquire()
	if err != nil {
		return 0
	}
	defer db.release(v)
	return len(v.generations) + len(v.derived)
}
