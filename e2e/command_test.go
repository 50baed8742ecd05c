//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"
)

// outcome is how an invocation of the program ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// varve runs the program to its end, or ends it after patience.
func varve(t testing.TB, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(environment(), "TZ=UTC", "COLUMNS=80")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code tells
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// want fails the test unless the code is right and the output contains texts.
func (o outcome) want(t testing.TB, what string, code int, texts ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("%s: exit code %d, want %d\n%s%s", what, o.code, code, o.stdout, o.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(o.stdout+o.stderr, text) {
			t.Errorf("%s: %q is not in\n%s%s", what, text, o.stdout, o.stderr)
		}
	}
}

func TestQueryCommand(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	at := time.Now().Truncate(time.Second).Add(-time.Minute)
	series := func(job string, values ...float64) prompb.TimeSeries {
		s := prompb.TimeSeries{Labels: labelsOf("e2e_level", "job", job)}
		for i, v := range values {
			s.Samples = append(s.Samples, prompb.Sample{Timestamp: at.Add(time.Duration(i-len(values)+1) * 10 * time.Second).UnixMilli(), Value: v})
		}
		return s
	}
	n.write([]prompb.TimeSeries{series("first", 1, 2, 3.25), series("second", 10, 20, 30)})
	query := func(args ...string) outcome {
		return varve(t, append([]string{"query", "--server=" + n.url}, args...)...)
	}
	when, start := "--time="+seconds(at), "--start="+seconds(at.Add(-20*time.Second))
	end := "--end=" + seconds(at)

	query("e2e_level", when).want(t, "table", 0, "METRIC     JOB     VALUE\n", "e2e_level  first    3.25\n", "e2e_level  second     30\n")
	query("e2e_level", start, end, "--step=10s", "--format=table").want(t, "table of a range", 0, "TIME", at.UTC().Format("2006-01-02 15:04:05"), "3.25")
	query("sum(e2e_level)", when, "--format=json").want(t, "json", 0,
		fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,"33.25"]}]}}`, at.Unix()))
	graph := query("e2e_level", start, end)
	graph.want(t, "graph", 0, `e2e_level{job="first"}`, "min 1", "last 3.25", "max 30")
	if lines := strings.Count(graph.stdout, "\n"); lines < 10 {
		t.Errorf("the graph has %d lines:\n%s", lines, graph.stdout)
	}
	answer := query("e2e_level", start, end, "--step=10s", "--format=csv")
	answer.want(t, "csv", 0)
	rows, err := csv.NewReader(strings.NewReader(answer.stdout)).ReadAll()
	if err != nil || len(rows) != 7 || !slices.Equal(rows[0], []string{"time", "__name__", "job", "value"}) ||
		!slices.Equal(rows[3], []string{at.UTC().Format("2006-01-02T15:04:05.000Z"), "e2e_level", "first", "3.25"}) {
		t.Errorf("csv: %v, %q", err, rows)
	}
	query("e2e_level{", when).want(t, "bad query", 1, "bad_data", "parse error")
	query("e2e_level", "--format=xml").want(t, "bad format", 2, "--format")
}

func TestHealthCommand(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	varve(t, "health", "--url="+n.url).want(t, "health of a running server", 0, "ready")
	n.stopGracefully()
	varve(t, "health", "--url="+n.url).want(t, "health of nothing", 1, "ask the server")
}

func TestTwoServers(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.write([]prompb.TimeSeries{{Labels: labelsOf("e2e_kept"), Samples: []prompb.Sample{{Timestamp: time.Now().UnixMilli(), Value: 1}}}})
	varve(t, flags(n.folder, freeAddress(t))...).want(t, "a second server on a folder", 1, "in use", "another process has the data folder open", "--storage.path")
	varve(t, flags(filepath.Join(t.TempDir(), "data"), n.address)...).want(t, "a second server on a port", 1, n.address, "another process has the port", "--http.listen")
	if kept := n.vector("e2e_kept"); len(kept) != 1 {
		t.Errorf("after the second servers the first one has %v", kept)
	}
	n.kill() // the folder is free again at once
	n.restart()
	if kept := n.vector("e2e_kept"); len(kept) != 1 {
		t.Errorf("after a kill the server has %v", kept)
	}
}
