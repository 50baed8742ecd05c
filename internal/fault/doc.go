// Package fault has the file systems of tests that make things fail.
//
// Above: tests. Below: Pebble's file systems.
// Concurrency: everything here may be used by many goroutines.
// Read crashable.go.
package fault
