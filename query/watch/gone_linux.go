package watch

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerGone reports whether the peer has closed its side or the connection broke.
// Bytes that wait unread hide the end behind them. On a plain connection they are
// a request sent ahead, and the client is still there to want it; on an encrypted
// one they may be the record that announces the end, so the end itself is asked
// for.
func peerGone(raw syscall.RawConn, encrypted bool) bool {
	gone := false
	err := raw.Control(func(fd uintptr) {
		gone = ended(int(fd)) || closed(int(fd), encrypted)
	})
	return gone || err != nil
}

// ended peeks for the end of the stream.
func ended(fd int) bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch err {
	case nil:
		return n == 0
	case unix.EAGAIN, unix.EINTR:
		return false
	default:
		return true
	}
}

func closed(fd int, encrypted bool) bool {
	asked := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	if n, err := unix.Poll(asked, 0); err != nil || n == 0 {
		return false
	}
	broken := int16(unix.POLLERR | unix.POLLHUP | unix.POLLNVAL)
	if encrypted {
		broken |= unix.POLLRDHUP
	}
	return asked[0].Revents&broken != 0
}
