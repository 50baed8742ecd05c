// Package query answers PromQL within limits: it admits a query, gives it a
// deadline and a budget, and runs it on the columnar executor, or on Prometheus's
// engine over any storage that speaks Prometheus's Queryable.
//
// Above: query/api. Below: query/plan, query/exec, query/cache and query/ledger,
// Prometheus's parser and engine, tsdb, and series, whose Budget storage charges.
// Concurrency: an Engine's methods may be called together; a Result belongs to
// one goroutine.
// Invariant: a query that runs holds exactly one slot, and gives it back before
// its result is written to a client.
// Read engine.go first, then columnar.go, gate.go and budget.go.
package query
