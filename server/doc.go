// Package server makes a running node from one Config: it finds out what the
// machine allows, opens the store, builds every part bottom-up, owns the
// listener, its routes and limits, and stops all of it in the right order.
//
// Above: cmd/varve. Below: everything; assemble.go is the only file that knows
// which implementation stands behind an interface.
// Concurrency: Serve runs once; Reload, Ready, Address and Close may be called
// from anywhere while it does.
// Lock order: none; the table of routes and the state are swapped atomically.
// Invariant: the listener answers from the first moment. Until the store is
// recovered, /-/ready and all data paths say 503.
// Read config.go and settings.go first, then node.go, assemble.go, routes.go.
package server
