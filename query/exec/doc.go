// Package exec evaluates PromQL on columns: selectors decode whole series, range
// functions run over whole step grids, and rows of values flow through operators
// without an iterator per sample. What it answers equals Prometheus's engine bit
// for bit.
//
// Above: query, which falls back on Prometheus's engine for what no operator
// claims. Below: chunks (decoded columns) and a Source, which query adapts from
// tsdb. Beside it: query/plan, which makes the trees that Build takes.
// Concurrency: a Query belongs to one goroutine, which starts up to
// Query.Workers more while an operator runs and waits for them.
// Invariants: rows reach a sink in the order of Series, from one goroutine at a
// time, whatever the number of workers, so that sums do not depend on it.
// Read operator.go first, then blocks.go, selector.go and build.go.
package exec
