// Package index knows the series that are in memory: it gives each label set a
// small reference, finds it again by its raw bytes, and answers which series
// match a set of matchers.
//
// Above: tsdb and its children. Below: series.
// Concurrency: a Table's methods may run together. Lock order: Table.mu is a leaf.
// Invariant: a Ref is handed out again only after Sweep has removed every trace
// of the series that had it, and Sweep removes only what no epoch in memory uses.
//
// Labels are kept once per distinct name and value ("pair"), and a series is a
// list of pairs, so that a million series cost tens of megabytes and a label
// value's regular expression is evaluated once per value, not once per series.
// Read table.go first, then pairs.go, match.go and sweep.go.
package index
