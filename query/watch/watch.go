package watch

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// ErrGone is the cause of a context that was canceled because its client left.
var ErrGone = errors.New("the client closed the connection")

// Options say when to look. The zero value works.
type Options struct {
	// After is how long work may take before its connection is looked at, so
	// that short work costs nothing; default 100 ms.
	After time.Duration
	// Every is the time between two looks; default 50 ms.
	Every time.Duration
}

func (o Options) withDefaults() Options {
	if o.After <= 0 {
		o.After = 100 * time.Millisecond
	}
	if o.Every <= 0 {
		o.Every = 50 * time.Millisecond
	}
	return o
}

// Conn returns a context that is canceled, with the cause ErrGone, once the peer
// of conn has closed it. The function returned ends the watch and the context.
// A connection that is no socket is not watched.
func Conn(ctx context.Context, conn net.Conn, options Options) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	raw, encrypted := socket(conn)
	if raw == nil {
		return ctx, func() { cancel(nil) }
	}
	o := options.withDefaults()
	w := &watcher{raw: raw, encrypted: encrypted, every: o.Every, gone: func() { cancel(ErrGone) }}
	w.mu.Lock()
	w.timer = time.AfterFunc(o.After, w.look)
	w.mu.Unlock()
	return ctx, func() { w.stop(); cancel(nil) }
}

type watcher struct {
	raw       syscall.RawConn
	encrypted bool
	every     time.Duration
	gone      func()

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

// look runs on the timer's goroutine, which lasts for one look.
func (w *watcher) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	if peerGone(w.raw, w.encrypted) {
		w.gone()
		return
	}
	w.timer.Reset(w.every)
}

// stop waits for a look that is under way, so that none touches the connection
// after it.
func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

// socket finds the socket under conn, and whether bytes on it are encrypted: then
// a closing peer says so in a last record before it closes.
func socket(conn net.Conn) (raw syscall.RawConn, encrypted bool) {
	for range 8 { // layers of wrapping
		if s, ok := conn.(syscall.Conn); ok {
			raw, err := s.SyscallConn()
			if err != nil {
				return nil, false
			}
			return raw, encrypted
		}
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil, false
		}
		conn, encrypted = inner.NetConn(), true
	}
	return nil, false
}
