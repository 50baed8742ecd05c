// Package plan turns a PromQL expression into a tree that says how it is
// evaluated: which executor takes each part, on which steps, what every selector
// reads. Rules rewrite the tree to one that costs less and answers the same,
// errors and annotations included.
//
// Above: query/exec makes operators of a tree, query explains it. Below:
// Prometheus's parser.
// Concurrency: a Tree belongs to one goroutine; once built it may be read by many.
// Invariants: Build leaves its expression as it was; a rule never changes what a
// query answers, so that leaving one out is always right.
// Read tree.go first, then build.go and one rule, such as share.go.
package plan
