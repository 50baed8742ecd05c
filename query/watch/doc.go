// Package watch cancels work whose client has gone away. An HTTP server that
// hands a connection to a handler does not look at it again until the handler
// returns; watch does, now and then, without taking a byte from it.
//
// Above: query/api. Below: the operating system's sockets.
// Concurrency: a watch belongs to one request; Conn and the function it returns
// may run together with the polls.
// Invariant: no byte of the connection is consumed, so that a request which the
// client sent ahead is still there for the server.
// Read watch.go first, then gone_linux.go.
package watch
