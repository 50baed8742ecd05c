// Package tenant knows the tenants of a store: their names, the numbers under
// which their samples are kept, what they send and ask, and what each may.
//
// Above: server, which finds a request's tenant. Below: kv, series.
// Concurrency: everything may be called together. Registering waits for the
// disk under a lock of its own, so that finding never does.
// Lock order: registerMu before mu; mu is a leaf.
// Invariant: a number is durable before it is given out, and never given to
// another name.
// Read registry.go first, then row.go and usage.go.
package tenant
