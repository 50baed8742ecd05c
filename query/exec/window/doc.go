// Package window evaluates range functions over columns: one call computes a
// series' whole step grid.
//
// Above: query/exec. Below: chunks/column, for what it knows of values.
// Concurrency: functions are pure; a Scratch belongs to one goroutine, and so does a
// Bounds, which keeps what functions derive from its times.
// Invariant: results have the bits that Prometheus's functions give for the same
// samples, one window at a time. The bits of a NaN that arithmetic makes may differ,
// and the last bit of a subnormal mad_over_time where compilers fuse products and sums
// (not on amd64 by default).
// What spares work must therefore be proven equal: exact.go says when sums are,
// steady.go when windows are alike.
// Read window.go first, then functions.go.
package window
