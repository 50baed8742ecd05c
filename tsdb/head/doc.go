// Package head holds samples in memory between their commit to the log and
// their flush: one Epoch collects what arrives until it is frozen, written out
// as chunks and dropped as a whole.
//
// Above: tsdb, its only caller. Below: chunks, index, series.
// Concurrency: Append, Chunks and the counters may run together; a frozen epoch
// (no Append left) may be walked by Series. Locks: one mutex a stripe of
// neighbouring series; stripe locks are leaves.
// Invariant: in-order floats of a series are in its open chunk, ascending
// strictly in time; everything else (late, duplicate, conflicting, histograms,
// start timestamps) is in its extra samples. Reading joins the two.
// Read epoch.go first, then stripe.go, openchunk.go and pages.go.
package head
