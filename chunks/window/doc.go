// Package window thins the floats of a series: it makes one row of aggregates out
// of all samples of a window of time, and joins rows of one window that come from
// different places. Windows are half-open to the left, as PromQL's ranges are:
// window k of width R covers (k*R, (k+1)*R] milliseconds since 1970 and is named by
// its end.
//
// Above: tsdb and its children, query. Below: series' value markers only.
// Concurrency: functions are pure; a Windows belongs to one goroutine at a time.
// Nothing here does I/O or reads a clock.
// Read window.go first, then join.go.
package window
