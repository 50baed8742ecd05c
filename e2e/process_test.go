//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program under test. It ends with its test at the latest, and
// with the test's own process if that is killed.
type process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	output *tail
	exited chan struct{} // closed when the process has ended
	err    error         // how it ended; read after exited
}

// start runs a program.
func start(t testing.TB, name, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(path, args...), output: &tail{}, exited: make(chan struct{})}
	p.cmd.Env = environment()
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	started.add(p)
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s (process %d) wrote:\n%s", p.name, p.cmd.Process.Pid, p.output)
		}
	})
	return p
}

// environment is that of the tests without what Varve would take for settings.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "VARVE_") })
}

// kill ends the process at once, as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.exited
}

// stop asks the process to end, and returns how long that took.
func (p *process) stop() time.Duration {
	p.t.Helper()
	began := time.Now()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("%s did not end after SIGTERM", p.name)
	}
	return time.Since(began)
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("send %v to %s: %v", s, p.name, err)
	}
}

// ended reports whether the process has ended.
func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// started has all processes of this run.
var started registry

type registry struct {
	mu  sync.Mutex
	all []*process
}

func (r *registry) add(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(slices.DeleteFunc(r.all, (*process).ended), p)
}

// running names the processes that have not ended.
func running() []string {
	started.mu.Lock()
	defer started.mu.Unlock()
	var names []string
	for _, p := range started.all {
		if !p.ended() {
			names = append(names, fmt.Sprintf("%s (%d)", p.name, p.cmd.Process.Pid))
		}
	}
	return names
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 16 << 10

func (o *tail) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	if len(o.text) > 2*tailBytes {
		o.text = append(o.text[:0], o.text[len(o.text)-tailBytes:]...)
	}
	return len(b), nil
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(string(o.text))
}

// The ports that tests take are below those that systems hand out for outgoing
// connections. Otherwise a sender that retries could be given the port of the
// server that is down, connect to itself and keep the server from coming back.
const (
	portMin = 20000
	portMax = 32000
)

var ports struct {
	mu    sync.Mutex
	taken map[int]bool
}

// freeAddress returns an address of this machine that nobody listens at, and
// that no other test is given.
func freeAddress(t testing.TB) string {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.taken == nil {
		ports.taken = map[int]bool{}
	}
	for range 1000 {
		port := portMin + rand.IntN(portMax-portMin)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		listener, err := net.Listen("tcp", address)
		if ports.taken[port] || err != nil {
			if err == nil {
				listener.Close()
			}
			continue
		}
		listener.Close()
		ports.taken[port] = true
		return address
	}
	t.Fatal("there is no free port")
	return ""
}
