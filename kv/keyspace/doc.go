// Package keyspace says which package owns which keys of the store, and encodes
// tuples so that keys sort as their fields do.
//
// Above: every package that keeps rows. Below: kv, for its errors.
// Concurrency: the functions are pure.
// Invariant: for tuples of one shape, bytes.Compare of the encodings is the
// comparison of the tuples, field by field, and Cut undoes Append.
// Read family.go first, then tuple.go.
package keyspace
