// Package series holds the words that every layer shares: encoded label sets,
// the batch in which one request's samples travel from a decoder to the
// database, the order by which two versions of a sample are joined, and the
// account of what was written and what was refused.
//
// Above: everything. Below: Prometheus's label, histogram and matcher types.
// Concurrency: the functions are pure; a Batch belongs to one goroutine at a time.
// Read labels.go first, then batch.go and join.go.
package series
