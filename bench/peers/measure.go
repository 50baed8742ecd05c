package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// report is what the table needs of the report of varve bench ingest --json.
type report struct {
	First, Steady part
	Samples       int
	Stale         int   `json:"stale_markers"`
	FirstTime     int64 `json:"first_time_ms"`
	LastTime      int64 `json:"last_time_ms"`
}

type part struct {
	Seconds float64
	Samples int
	Latency struct {
		P99 float64 `json:"p99_seconds"`
	}
	Server cost
}

type cost struct {
	CPUSeconds   float64 `json:"cpu_seconds"`
	WrittenBytes int64   `json:"written_bytes"`
	PeakBytes    int64   `json:"peak_rss_bytes"`
}

// UnmarshalJSON reads the report's own names.
func (r *report) UnmarshalJSON(text []byte) error {
	type plain report
	renamed := struct {
		*plain
		First *part `json:"first_pass"`
	}{(*plain)(r), &r.First}
	return json.Unmarshal(text, &renamed)
}

// result is one server's account of one load.
type result struct {
	report    report
	ready     time.Duration // after kill -9, until it says that it is ready
	answer    time.Duration // after kill -9, until it answered a query over everything
	found     int           // samples after kill -9
	diskBytes int64         // after everything was flushed, above what an empty server takes
}

// lost is how many acknowledged samples the kill cost. Queries do not count
// stale markers.
func (r result) lost() int { return max(0, r.report.Samples-r.report.Stale-r.found) }

const (
	startTimeout = 5 * time.Minute
	settleTime   = 15 * time.Second
)

// measure runs the load against a new server in dir, kills the server at the
// moment of the last acknowledgement, and looks what is left.
func measure(ctx context.Context, s server, l load, varve, dir string) (result, error) {
	var r result
	p, empty, err := startEmpty(ctx, s, dir)
	if err != nil {
		return r, err
	}
	defer func() { p.kill() }()
	if r.report, err = p.send(ctx, l, varve); err != nil {
		return r, err
	}
	p.kill()
	began := time.Now()
	again, err := start(ctx, s, dir)
	if err != nil {
		return r, err
	}
	p = again
	r.ready = time.Since(began)
	if r.found, err = countSamples(ctx, s, p.base, r.report); err != nil {
		return r, fmt.Errorf("count samples: %w", err)
	}
	r.answer = time.Since(began)
	if r.lost() > 0 { // what the kill lost does not count as saved space
		p.kill()
		if p, empty, err = startEmpty(ctx, s, dir); err != nil {
			p = again
			return r, err
		}
		if _, err := p.send(ctx, l, varve); err != nil {
			return r, err
		}
	}
	r.diskBytes, err = p.weigh(ctx, s, dir, empty)
	return r, err
}

// startEmpty starts the server without data; empty is what it takes on disk so.
func startEmpty(ctx context.Context, s server, dir string) (p *process, empty int64, err error) {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return nil, 0, err
	}
	if p, err = start(ctx, s, dir); err != nil {
		return nil, 0, err
	}
	if empty, err = diskUsage(dir); err != nil {
		p.kill()
		return nil, 0, err
	}
	return p, empty, nil
}

// send runs the load.
func (p *process) send(ctx context.Context, l load, varve string) (report, error) {
	args := append([]string{"bench", "ingest", "--json", "--label=load=peers", "--url=" + p.base + "/api/v1/write", fmt.Sprintf("--pid=%d", p.pid())}, l.args...)
	generator := exec.CommandContext(ctx, varve, args...)
	generator.Stderr = os.Stderr
	text, err := generator.Output()
	if err != nil {
		return report{}, fmt.Errorf("send the load: %w: %s", err, text)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read the load's report: %w", err)
	}
	return r, nil
}

// weigh has the server write out everything and returns what that takes.
func (p *process) weigh(ctx context.Context, s server, dir string, empty int64) (int64, error) {
	data, err := s.flush(ctx, p.base, dir)
	if err != nil {
		return 0, fmt.Errorf("flush: %w", err)
	}
	select { // merges and deletions follow a flush
	case <-time.After(settleTime):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	n, err := diskUsage(data)
	if data == dir {
		n -= empty
	}
	return n, err
}

// process is a running server.
type process struct {
	command *exec.Cmd
	base    string
	output  *bytes.Buffer
	done    chan struct{}
}

func (p *process) pid() int { return p.command.Process.Pid }

// kill ends the process at once. It may be called twice.
func (p *process) kill() {
	select {
	case <-p.done:
		return
	default:
	}
	// The process may have ended by itself just now; Wait tells either way.
	_ = p.command.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// start runs the server on dir and waits until it is ready.
func start(ctx context.Context, s server, dir string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(s.binary, s.args(dir, address)...), base: "http://" + address, output: &bytes.Buffer{}, done: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = p.output, p.output
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.command.Wait() // ends with an error whenever it is killed
		close(p.done)
	}()
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		select {
		case <-p.done:
			return nil, fmt.Errorf("%s ended: %s", s.name, tail(p.output.Bytes()))
		default:
		}
		if ready(ctx, p.base+s.readyPath) {
			return p, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.kill()
	return nil, fmt.Errorf("%s was not ready in %v: %s", s.name, startTimeout, tail(p.output.Bytes()))
}

func ready(ctx context.Context, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func tail(text []byte) string {
	const shown = 2000
	return string(text[max(0, len(text)-shown):])
}

// diskUsage returns the bytes that the files below dir take on disk.
func diskUsage(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server deletes files meanwhile
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() {
			total += min(stat.Blocks*512, info.Size()) // neither holes nor space set aside
		}
		return nil
	})
	return total, err
}
