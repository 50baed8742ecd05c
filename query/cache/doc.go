// Package cache keeps results of range queries, so that the refresh of a dashboard
// computes only the steps that are new or whose samples have changed.
//
// Above: query, which evaluates what is missing and knows when samples change.
// Below: query/exec, for its grids, and Prometheus's parser.
// Concurrency: a Cache may be used by several goroutines; an Entry and a Plan are
// never changed once they are made.
// Invariant: a Plan exists only for an expression whose result at a step depends on
// nothing but the samples in the Plan's reach of that step: not on the other steps
// of the query, be it through the order in which floats are added.
// Read plan.go first, then entry.go and cache.go.
package cache
