// Package relabel changes, by Prometheus's rules, what is about to be stored: it
// drops series, renames them, and adds or removes labels, whatever door they
// came through.
//
// Promise: a label set that was seen before costs a comparison of its bytes; what
// the rules made of it is remembered, in bounded memory. Without rules a batch
// passes untouched.
//
// Above: server, which puts it between the doors and the storage. Below:
// Prometheus's relabel for the rules, series for the batch.
// Concurrency: any number of Appends may run at once, and SetRules beside them;
// a batch is treated by one set of rules. A table's lock is a leaf.
// Read relabel.go first, then table.go.
package relabel
