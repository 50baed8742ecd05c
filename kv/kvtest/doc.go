// Package kvtest judges whether an engine keeps the promise of kv.Store and of
// the capabilities it has: targeted cases, and random operations compared with
// a plain sorted model.
//
// Above: the tests of every engine. Below: kv.
// Concurrency: Run starts subtests one after the other, each on its own store.
// Read run.go first, then random.go.
package kvtest
