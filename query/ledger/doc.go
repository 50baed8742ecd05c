// Package ledger keeps what queries cost, summed up by what they ask and why: by
// their text without numbers, durations and label values, and by the dashboard,
// panel or rule that they come from.
//
// Above: query, which records each query. Below: Prometheus's parser.
// Concurrency: a Ledger's methods may be called together.
// Invariant: there are never more than Options.EntriesMax entries; what was costly,
// or is recent, stays.
// Read ledger.go first, then normalize.go.
package ledger
