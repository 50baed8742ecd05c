// Package downsample thins ageing partitions: it has the database make windows of
// those that are over, one partition after the other.
//
// Above: server, which starts the job. Below: nothing; the database is the one-method
// Store.
// Concurrency: Run belongs to one goroutine.
// Invariant: nothing is taken away here; what goes when is retention's business.
// Read job.go.
package downsample
