//go:build e2e

package e2e

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// node is a Varve server that can be killed and started again: its folder and
// its address stay.
type node struct {
	*process
	endpoint
	t       testing.TB
	folder  string
	address string
}

// newNode chooses a folder and an address, and starts a server there.
func newNode(t testing.TB) *node {
	t.Helper()
	address := freeAddress(t)
	n := &node{t: t, folder: filepath.Join(t.TempDir(), "data"), address: address, endpoint: endpoint{t, "http://" + address}}
	n.start()
	n.awaitReady()
	return n
}

// flags are those of the servers: nothing is stored but what tests send.
func flags(folder, address string) []string {
	return []string{
		"serve", "--storage.path=" + folder, "--http.listen=" + address,
		"--self-scrape.interval=0s", "--web.enable-admin-api=true", "--storage.memory=512MiB",
	}
}

// start starts the server, which may have run before.
func (n *node) start() {
	n.t.Helper()
	n.process = start(n.t, "varve", program, flags(n.folder, n.address)...)
}

// ready reports whether the server says that it is. It fails the test if the
// server has ended.
func (n *node) ready() bool {
	n.t.Helper()
	if n.ended() {
		n.t.Fatalf("the server ended: %v\n%s", n.err, n.output)
	}
	response, err := client.Get(n.url + "/-/ready")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (n *node) awaitReady() {
	n.t.Helper()
	wait(n.t, "the server is ready", n.ready)
}

// restart starts a server that has ended, and waits until it is ready.
func (n *node) restart() {
	n.t.Helper()
	n.start()
	n.awaitReady()
}

// gracefulLimit is what a server may take to stop.
const gracefulLimit = 10 * time.Second

// stopGracefully sends SIGTERM and checks how the server ends.
func (n *node) stopGracefully() {
	n.t.Helper()
	took := n.stop()
	if n.err != nil {
		n.t.Errorf("after SIGTERM the server ended with %v\n%s", n.err, n.output)
	}
	if took > gracefulLimit {
		n.t.Errorf("after SIGTERM the server took %v to end, the limit is %v", took, gracefulLimit)
	}
}

// flush asks for what is in memory to be written into partitions.
func (n *node) flush() {
	n.t.Helper()
	n.post("/api/v1/admin/tsdb/flush", "", nil).want(n.t, "flush", 204)
}
