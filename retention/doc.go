// Package retention forgets old partitions: those whose samples are older than
// the database keeps, and the oldest ones while all of them together take more
// space than they may.
//
// Above: server, which starts the job. Below: nothing; the database is the
// two-method Store.
// Concurrency: Expired is pure; SetPolicy and Plan may be called while the job
// runs, Step and Run belong to one goroutine.
// Invariant: what is dropped is whole partitions, oldest first, and never
// because a clock jumped: see clock.go.
// Read policy.go first, then clock.go and job.go.
package retention
