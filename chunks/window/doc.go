// Package window thins the floats of a series: it makes one row of aggregates out
// of all samples of a window of time, and joins rows of one window that come from
// different places. Windows are half-open to the left, as PromQL's ranges are:
// window k of width R covers (k*R, (k+1)*R] milliseconds since 1970 and is named by
// its end. It writes rows as bytes, too: what all series of a target have in common,
// their shape, apart from their values.
//
// Above: tsdb and its children, query. Below: chunks/column.
// Concurrency: functions are pure; a Windows, an Encoder and what uses it, a Decoder
// and a Cell belong to one goroutine at a time. Nothing here does I/O or reads a
// clock; bad bytes are ErrCorrupt.
// Read window.go first, then join.go; shape.go, values.go and cell.go draw the bytes.
package window
