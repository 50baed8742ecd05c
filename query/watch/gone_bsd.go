//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package watch

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerGone reports whether the peer has closed its side or the connection broke.
// An end that waits behind unread bytes is not seen before they are read.
func peerGone(raw syscall.RawConn, _ bool) bool {
	gone := false
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch err {
		case nil:
			gone = n == 0
		case unix.EAGAIN, unix.EINTR:
		default:
			gone = true
		}
	})
	return gone || err != nil
}
