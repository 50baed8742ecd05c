package server

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// boundedListener refuses connections of an address that has too many already,
// so that one client cannot take all that the server serves.
type boundedListener struct {
	net.Listener
	max     int // of an address; 0: no bound
	refused func()
	// secure connections are refused without a word: they wait for a handshake.
	secure bool

	mu   sync.Mutex
	open map[netip.Addr]int
}

// bound wraps the listener's connections, and encrypts them if there are settings.
func bound(l net.Listener, addressMax int, secure *tls.Config, refused func()) net.Listener {
	b := &boundedListener{Listener: l, max: addressMax, refused: refused, secure: secure != nil, open: map[netip.Addr]int{}}
	if secure == nil {
		return b
	}
	return tls.NewListener(b, secure)
}

// Accept implements net.Listener.
func (b *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		socket, ok := conn.(*net.TCPConn)
		if !ok || b.max == 0 {
			return conn, nil
		}
		from := addressOf(conn)
		if b.take(from) {
			return &boundedConn{TCPConn: socket, leave: func() { b.give(from) }}, nil
		}
		b.refused()
		b.turnAway(conn)
	}
}

const (
	tooMany     = "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 5\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 39\r\n\r\ntoo many connections from this address\n"
	turnAwayMax = 100 * time.Millisecond
)

// turnAway says why, if that does not wait.
func (b *boundedListener) turnAway(conn net.Conn) {
	defer conn.Close()
	if b.secure {
		return
	}
	if conn.SetWriteDeadline(time.Now().Add(turnAwayMax)) == nil {
		conn.Write([]byte(tooMany)) // or nobody is there to be told
	}
}

func (b *boundedListener) take(from netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[from] >= b.max {
		return false
	}
	b.open[from]++
	return true
}

func (b *boundedListener) give(from netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[from]--; b.open[from] <= 0 {
		delete(b.open, from)
	}
}

// boundedConn gives its place back when it is closed. It is a socket still, so
// that a query can see its client leave.
type boundedConn struct {
	*net.TCPConn
	once  sync.Once
	leave func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.once.Do(c.leave)
	return c.TCPConn.Close()
}

// addressOf returns the address at the other end, the zero one if it has none.
func addressOf(conn net.Conn) netip.Addr {
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
