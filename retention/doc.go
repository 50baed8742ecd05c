// Package retention forgets what is older than its rules keep: whole partitions once all
// rules about them gave them up, series where others of the partition are kept longer,
// and the oldest partitions while all of them together take more space than they may.
//
// Above: server, which starts the job. Below: the names of tenants, and PromQL's
// selectors; the database is the five-method Store.
// Concurrency: Expired and Parse are pure; SetPolicy, Plan and Believed may be called
// while the job runs, Step and Run belong to one goroutine.
// Invariant: nothing is removed because a clock jumped: see clock.go.
// Read rule.go and policy.go first, then clock.go and job.go.
package retention
