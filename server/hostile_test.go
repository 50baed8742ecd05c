package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/server/auth"
)

// authority signs certificates for tests.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.certificate, a.key = a.sign("authority", nil)
	return a
}

func (a *authority) sign(name string, parent *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signer, signerKey := template, key
	if parent != nil {
		signer, signerKey = parent.certificate, parent.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		a.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return certificate, key
}

// issue writes a certificate and its key into dir.
func (a *authority) issue(dir, file, name string) (certFile, keyFile string) {
	a.t.Helper()
	certificate, key := a.sign(name, a)
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, file+".crt"), filepath.Join(dir, file+".key")
	writeFile(a.t, certFile, pemOf("CERTIFICATE", certificate.Raw))
	writeFile(a.t, keyFile, pemOf("EC PRIVATE KEY", raw))
	return certFile, keyFile
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func pemOf(kind string, raw []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
}

// getTLS asks for a path and tells by which certificate the server answered.
func (n *testNode) getTLS(path string, c *tls.Config) (answer, string, error) {
	transport := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	response, err := client.Get("https://" + n.Address() + path)
	if err != nil {
		return answer{}, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(text), response.Header}, response.TLS.PeerCertificates[0].Subject.CommonName, err
}

func TestTLS(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	a.issue(dir, "server", "first")
	clientCert, clientKey := a.issue(dir, "client", "grafana")
	strangerCert, strangerKey := a.issue(dir, "stranger", "somebody")
	writeFile(t, filepath.Join(dir, "ca.crt"), pemOf("CERTIFICATE", a.certificate.Raw))
	web := filepath.Join(dir, "web.yml")
	const mutual = `tls_server_config:
  cert_file: server.crt
  key_file: server.key
  min_version: TLS13
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [grafana]
`
	writeFile(t, web, "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS13}\n")
	now := time.Now()
	n := openNode(t, func(c *Config, o *Options) {
		c.Web.ConfigFile = web
		o.Reload = func() (Config, error) { return *c, nil }
		o.Now = func() time.Time { return now } // files are looked at by reloads alone
	}, fakeParts()).serve().awaitReady()
	plain := &tls.Config{RootCAs: a.pool()}
	got, name, err := n.getTLS("/version", plain)
	if err != nil || got.code != 200 || name != "first" || !strings.Contains(got.header.Get("Strict-Transport-Security"), "max-age=") {
		t.Fatalf("got %v by %q, %v", got, name, err)
	}
	if _, _, err := n.getTLS("/version", &tls.Config{RootCAs: a.pool(), MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("a version below the least was accepted")
	}
	// A connection that is open outlives the change of the certificate.
	open, err := tls.Dial("tcp", n.Address(), plain)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	a.issue(dir, "server", "second")
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, name, err := n.getTLS("/version", plain); err != nil || name != "second" {
		t.Errorf("after a reload: %q, %v", name, err)
	}
	fmt.Fprintf(open, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, err := bufio.NewReader(open).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("on the old connection: %q, %v", line, err)
	}

	writeFile(t, web, mutual)
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.getTLS("/-/healthy", plain); err == nil {
		t.Error("a client without a certificate was let in")
	}
	for _, c := range []struct {
		cert, key string
		ok        bool
	}{{clientCert, clientKey, true}, {strangerCert, strangerKey, false}} {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.getTLS("/version", &tls.Config{RootCAs: a.pool(), Certificates: []tls.Certificate{pair}}); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.cert, err)
		}
	}
}

// hostileNode serves with bounds that a test reaches quickly.
func hostileNode(t *testing.T) *testNode {
	return startFull(t, t.TempDir(), func(c *Config, _ *Options) {
		c.HTTP.ReadHeaderTimeout, c.HTTP.ReadTimeout = 300*time.Millisecond, 500*time.Millisecond
		c.HTTP.ConnectionsMax, c.HTTP.AddressConnectionsMax = 64, 16
		c.Ingest.BodyBytesMax, c.Ingest.DecodedBytesMax = 1<<20, 4<<20
	})
}

// dial connects from one of the loopback network's addresses.
func (n *testNode) dial(from string) net.Conn {
	n.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(context.Background(), "tcp", n.Address())
	if err != nil {
		n.t.Skipf("this machine has no second loopback address: %v", err)
	}
	n.t.Cleanup(func() { conn.Close() })
	return conn
}

func TestHostileClients(t *testing.T) {
	n := hostileNode(t)
	// One address takes all the connections that it can get, and sends its
	// requests byte by byte.
	ended := make(chan struct{}, 64)
	refused := 0
	for range 40 {
		conn := n.dial("127.0.0.2")
		go func() {
			defer func() { ended <- struct{}{} }()
			for _, c := range []byte("POST /api/v1/write HTTP/1.1\r\nHost: x\r\nX-Slow: " + strings.Repeat("y", 500)) {
				if _, err := conn.Write([]byte{c}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
	}
	one := n.dial("127.0.0.2")
	if reply, _ := io.ReadAll(io.LimitReader(one, 400)); strings.Contains(string(reply), "429 Too Many Requests") {
		refused++
	}
	if refused == 0 {
		t.Error("an address gets more connections than it may")
	}
	for _, path := range []string{"/-/ready", "/api/v1/query?query=1", "/api/v1/labels"} {
		start := time.Now()
		n.get(path).want(t, "another client meanwhile", 200, "")
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s took %s", path, took)
		}
	}
	n.get("/metrics").want(t, "metrics", 200, "varve_server_refused_connections_total")
	for range 40 {
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("slow senders are served for ever")
		}
	}
	n.dial("127.0.0.2") // its places are free again
	fmt.Fprintf(one, "x")
}

func TestSlowBodyIsCutOff(t *testing.T) {
	n := hostileNode(t)
	conn := n.dial("127.0.0.2")
	fmt.Fprintf(conn, "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection of a body that never comes stays open: %v", err)
	}
}

func TestBodyTimeout(t *testing.T) {
	c := HTTPConfig{ReadTimeout: 5 * time.Minute, BodyRateMin: 1024}
	for _, k := range []struct {
		bytes int
		want  time.Duration
	}{{0, bodyGrace}, {1024, bodyGrace + time.Second}, {100 * 1024, bodyGrace + 100*time.Second}, {1 << 30, 5 * time.Minute}, {-1, 5 * time.Minute}} {
		if got := bodyTimeout(c, k.bytes); got != k.want {
			t.Errorf("%d bytes: %s, want %s", k.bytes, got, k.want)
		}
	}
	c.BodyRateMin = 0
	if got := bodyTimeout(c, 0); got != c.ReadTimeout {
		t.Errorf("without a rate: %s", got)
	}
}

func TestHostileBodies(t *testing.T) {
	n := hostileNode(t)
	write := func(body []byte) answer {
		return n.do("POST", "/api/v1/write", string(body), "Content-Type", "application/x-protobuf", "Content-Encoding", "snappy")
	}
	bomb := snappy.Encode(nil, make([]byte, 16<<20))
	if got := write(bomb); got.code/100 != 4 || !strings.Contains(got.body, "the limit is 4194304") {
		t.Errorf("decompression bomb: %d %s", got.code, got.body)
	}
	// A series with a hundred thousand label names.
	labels := bytes.Buffer{}
	for i := range 100_000 {
		name := fmt.Sprintf("l%06d", i)
		labels.WriteString("\x0a\x0c\x0a\x07" + name + "\x12\x01x")
	}
	series := protoField(1, append(labels.Bytes(), protoField(2, []byte("\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x01"))...))
	got := write(snappy.Encode(nil, series))
	got.want(t, "100,000 label names", 400, "100000 labels, the limit is 256")
	got = n.do("GET", "/version", "", "X-Long", strings.Repeat("y", 100<<10))
	got.want(t, "long header", 431, "")
	n.get("/api/v1/query?query="+strings.Repeat("(", 10_000)).want(t, "deep query", 400, "")
	n.get("/-/ready").want(t, "afterwards", 200, "ready")
}

func protoField(number int, body []byte) []byte {
	out := []byte{byte(number<<3 | 2)}
	for n := len(body); ; n >>= 7 {
		if n < 0x80 {
			out = append(out, byte(n))
			return append(out, body...)
		}
		out = append(out, byte(n)|0x80)
	}
}

func TestHandlersSeeTheirClientsLeave(t *testing.T) {
	left := make(chan bool, 1)
	n := openNode(t, nil, fakeParts(route{methods: get, path: "/wait", scope: auth.Read, handle: func(ctx *fasthttp.RequestCtx) {
		_, socket := ctx.Conn().(interface{ CloseWrite() error })
		left <- socket
	}})).serve().awaitReady()
	n.get("/wait").want(t, "wait", 200, "")
	if !<-left {
		t.Error("a handler's connection is no socket: queries cannot see their client leave")
	}
}
