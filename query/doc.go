// Package query answers PromQL within limits: it admits a query, gives it a
// deadline and a budget, and runs it on Prometheus's engine over any storage
// that speaks Prometheus's Queryable.
//
// Above: query/api. Below: Prometheus's parser and engine, and series, whose
// Budget the storage charges.
// Concurrency: an Engine's methods may be called together; a Result belongs to
// one goroutine.
// Invariant: a query that runs holds exactly one slot, and gives it back before
// its result is written to a client.
// Read engine.go first, then gate.go and budget.go.
package query
