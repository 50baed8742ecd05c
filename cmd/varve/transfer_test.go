package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/varve-db/varve/server"
	"github.com/varve-db/varve/transfer"
)

// serveVarve runs a server in the test's process and returns its address.
func serveVarve(t *testing.T) string {
	t.Helper()
	c := server.Defaults()
	c.HTTP.Listen, c.Storage.Path, c.SelfScrape.Interval = "127.0.0.1:0", t.TempDir(), 0
	c.Storage.Memory = server.AutoSize{Bytes: 256 << 20}
	node, err := server.Open(t.Context(), c, server.Options{KeepMemoryLimit: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- node.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		_ = node.Close()
	})
	select {
	case <-node.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("the server does not become ready")
	}
	return "http://" + node.Address()
}

func importInto(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	i := importer{stdout: &out, stdin: strings.NewReader(stdin), now: time.Now().UTC()}
	err := i.run(t.Context(), args)
	return out.String(), err
}

func exportFrom(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, said bytes.Buffer
	e := exporter{stdout: &out, stderr: &said, now: time.Now().UTC()}
	err = e.run(t.Context(), args)
	return out.String(), said.String(), err
}

// answerOf asks a server a question and returns the answer as it came.
func answerOf(t *testing.T, url, path string) string {
	t.Helper()
	r, err := http.Get(url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s, %v", path, r.Status, body, err)
	}
	return string(body)
}

// TestMoveAPrometheus imports a data folder into a server, copies that server to
// another by remote read, and a third by a file; they answer alike.
func TestMoveAPrometheus(t *testing.T) {
	folder := t.TempDir()
	db, err := tsdb.Open(folder, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now().Add(-6 * time.Hour).Truncate(time.Minute)
	for at, n := start, 0; at.Before(time.Now()); at, n = at.Add(time.Minute), n+1 {
		app := db.Appender(t.Context())
		v := float64(n)
		if n%50 == 17 {
			v = math.Float64frombits(value.StaleNaN)
		}
		_, err := app.Append(0, labels.FromStrings("__name__", "moved_total", "job", "x"), at.UnixMilli(), v)
		_, err2 := app.AppendHistogram(0, labels.FromStrings("__name__", "moved_seconds"), at.UnixMilli(), tsdbutil.GenerateTestHistogram(int64(n)), nil)
		if err := errors.Join(err, err2, app.Commit()); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	first, second, third := serveVarve(t), serveVarve(t), serveVarve(t)
	out, err := importInto(t, "", "prometheus-tsdb", folder, "--url="+first, "--json", "--state="+filepath.Join(t.TempDir(), "state"))
	var report transfer.Report
	if err != nil || json.Unmarshal([]byte(out), &report) != nil || report.Samples < 360 || report.Histograms != report.Samples || report.Series != 2 {
		t.Fatalf("got %s, %v", out, err)
	}
	out, err = importInto(t, "", "remote-read", first+"/api/v1/read", "--start=-7h", "--url="+second)
	if err != nil || !strings.Contains(out, fmt.Sprintf("samples     %d\n", report.Samples)) || !strings.Contains(out, "lost        nothing") {
		t.Errorf("got %s, %v", out, err)
	}
	file := filepath.Join(t.TempDir(), "moved.jsonl.zst")
	if _, said, err := exportFrom(t, "--url="+first, "--match=moved_total", "-o", file); err != nil || !strings.Contains(said, "exported 1 lines") {
		t.Errorf("got %s, %v", said, err)
	}
	if out, err := importInto(t, "", "jsonl", file, "--url="+third); err != nil || !strings.Contains(out, "lost        nothing") {
		t.Errorf("got %s, %v", out, err)
	}
	times := fmt.Sprintf("&start=%d&end=%d&step=30", start.Unix(), time.Now().Unix())
	for _, question := range []string{"moved_total", "increase(moved_total[5m])", "histogram_quantile(0.9,rate(moved_seconds[5m]))"} {
		path := "/api/v1/query_range?query=" + question + times
		want := answerOf(t, first, path)
		if len(want) < 1000 {
			t.Errorf("%s: got %s", question, want)
		}
		if got := answerOf(t, second, path); got != want {
			t.Errorf("%s: remote read gives another answer", question)
		}
		if got := answerOf(t, third, path); got != want && question != "histogram_quantile(0.9,rate(moved_seconds[5m]))" {
			t.Errorf("%s: the file gives another answer", question)
		}
	}
	if _, said, err := exportFrom(t, "--url="+first); err == nil || !strings.Contains(err.Error(), "native histogram samples were left out") || !strings.Contains(said, "exported 1 lines") {
		t.Errorf("got %s, %v", said, err)
	}
}

func TestImportSaysWhatIsLost(t *testing.T) {
	url := serveVarve(t)
	out, err := importInto(t, "a 1 1000\nb 2\n!\n", "text", "-", "--url="+url)
	if !errors.Is(err, errLost) || !strings.Contains(out, "lost        1 (too_old)") || !strings.Contains(out, "lost        1 (malformed_line)") || !strings.Contains(out, "samples     1\n") {
		t.Errorf("got %s, %v", out, err)
	}
	now := time.Now().Unix()
	if out, err := importInto(t, fmt.Sprintf("cpu,host=a usage=1 %d\n", now), "influx", "-", "--precision=s", "--db=d", "--url="+url); err != nil {
		t.Errorf("got %s, %v", out, err)
	}
	if got := answerOf(t, url, "/api/v1/series?match[]=cpu_usage"); !strings.Contains(got, `"db":"d","host":"a"`) {
		t.Errorf("got %s", got)
	}
}

func TestTransferUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                                        "takes a kind and a source",
		"csv x":                                   "not \"csv\"",
		"jsonl x --match=up":                      "files are imported whole",
		"remote-read http://x":                    "needs --start",
		"victoria-metrics http://x":               "needs --start",
		"remote-read http://x --start=q":          "not a time",
		"remote-read http://x --match={":          "read a selector",
		"influx - --precision=weeks":              "--precision",
		"prometheus-tsdb x --nonsense":            "unknown flag",
		"prometheus-tsdb x --start=-1h --end=-2h": "--end is before --start",
		"remote-read http://x --start=-1h --source-header=x": "name:value",
	} {
		if _, err := importInto(t, "", strings.Fields(args)...); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("import %s: got %v, want %s", args, err, want)
		}
	}
	for args, want := range map[string]string{"x": "unexpected argument", "--start=q": "not a time", "--match={": "read a selector"} {
		if _, _, err := exportFrom(t, strings.Fields(args)...); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("export %s: got %v, want %s", args, err, want)
		}
	}
	if _, err := importInto(t, "", "jsonl", "/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if out, err := importInto(t, "", "--help"); err == nil || !strings.Contains(out, "varve import prometheus-tsdb") {
		t.Errorf("got %q, %v", out, err)
	}
}
