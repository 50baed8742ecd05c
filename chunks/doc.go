// Package chunks turns samples into bytes and back: the byte-aligned float
// encoding of open chunks, native histograms and start timestamps in
// Prometheus's chunk encodings, sealed histograms as runs in columns, the list of
// chunks that one row of a partition holds, and the merge of overlapping chunks by
// the join rule.
//
// Above: tsdb and its children. Below: series, column, and Prometheus's chunkenc.
// Concurrency: functions are pure; an Iterator and a HistogramEncoder belong to
// one goroutine. Nothing here does I/O or reads a clock, and bad bytes are
// ErrCorrupt.
// Read float.go first, then list.go and iterator.go, then histogramrun.go.
package chunks
