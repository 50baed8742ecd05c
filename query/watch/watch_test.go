package watch

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"testing"
	"time"
)

var quick = Options{After: 20 * time.Millisecond, Every: 10 * time.Millisecond}

// pair returns the two ends of a TCP connection.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := listener.Accept()
		accepted <- conn
	}()
	client, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server = <-accepted
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func skipWithoutPeek(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" || runtime.GOOS == "js" {
		t.Skip("sockets cannot be peeked at here")
	}
}

func wantGone(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
		if !errors.Is(context.Cause(ctx), ErrGone) || !errors.Is(ctx.Err(), context.Canceled) {
			t.Fatalf("canceled because of %v, %v", context.Cause(ctx), ctx.Err())
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the watch did not notice that the client left")
	}
}

func wantThere(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
		t.Fatalf("canceled although the client is there: %v", context.Cause(ctx))
	case <-time.After(150 * time.Millisecond):
	}
}

func TestClientLeaves(t *testing.T) {
	skipWithoutPeek(t)
	for _, leave := range []struct {
		name string
		do   func(net.Conn)
	}{
		{"close", func(c net.Conn) { c.Close() }},
		{"reset", func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }},
		{"half close", func(c net.Conn) { c.(*net.TCPConn).CloseWrite() }},
	} {
		t.Run(leave.name, func(t *testing.T) {
			client, server := pair(t)
			ctx, stop := Conn(context.Background(), server, quick)
			defer stop()
			wantThere(t, ctx)
			leave.do(client)
			wantGone(t, ctx)
		})
	}
}

func TestBytesStay(t *testing.T) {
	client, server := pair(t)
	if _, err := client.Write([]byte("GET / HTTP/1.1\r\n")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := Conn(context.Background(), server, quick)
	wantThere(t, ctx)
	stop()
	line, err := bufio.NewReader(server).ReadString('\n')
	if err != nil || line != "GET / HTTP/1.1\r\n" {
		t.Fatalf("read %q, %v after the watch", line, err)
	}
}

func TestStopEndsTheWatch(t *testing.T) {
	client, server := pair(t)
	ctx, stop := Conn(context.Background(), server, quick)
	stop()
	stop() // may be called twice
	client.Close()
	if !errors.Is(context.Cause(ctx), context.Canceled) {
		t.Fatalf("cause %v after stop", context.Cause(ctx))
	}
	time.Sleep(60 * time.Millisecond)
	if errors.Is(context.Cause(ctx), ErrGone) {
		t.Fatal("the watch went on after stop")
	}
}

func TestServerSideClosed(t *testing.T) {
	_, server := pair(t)
	ctx, stop := Conn(context.Background(), server, quick)
	defer stop()
	server.Close()
	skipWithoutPeek(t)
	wantGone(t, ctx)
}

func TestNotASocket(t *testing.T) {
	one, other := net.Pipe()
	ctx, stop := Conn(context.Background(), one, quick)
	other.Close()
	wantThere(t, ctx)
	stop()
	if ctx.Err() == nil {
		t.Fatal("stop did not end the context")
	}
}

func TestEncryptedClientLeaves(t *testing.T) {
	skipWithoutPeek(t)
	plainClient, plainServer := pair(t)
	server := tls.Server(plainServer, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	client := tls.Client(plainClient, &tls.Config{InsecureSkipVerify: true})
	go client.Write([]byte("x"))
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := Conn(context.Background(), server, quick)
	defer stop()
	wantThere(t, ctx)
	client.Close() // sends a last record, which nobody reads, before it closes
	if runtime.GOOS != "linux" {
		t.Skip("unread bytes hide the end here")
	}
	wantGone(t, ctx)
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
