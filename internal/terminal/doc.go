// Package terminal asks a server a PromQL question over Prometheus's HTTP API
// and writes the answer for someone at a terminal: as a table, a graph or CSV.
//
// Above: cmd/varve's query command. Below: the standard library and
// Prometheus's duration notation.
// Concurrency: everything may be used by several goroutines, an io.Writer by one.
// Read ask.go first, then table.go and graph.go.
package terminal
