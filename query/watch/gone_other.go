//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package watch

import "syscall"

// peerGone never sees a peer go on platforms whose sockets cannot be peeked at
// without waiting; a query then ends by its timeout.
func peerGone(syscall.RawConn, bool) bool { return false }
