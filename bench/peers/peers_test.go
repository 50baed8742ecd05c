package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const reportText = `{"first_pass":{"samples":1000,"seconds":0.5,"server":{"cpu_seconds":0.01,"written_bytes":1000,"peak_rss_bytes":1048576}},
"steady":{"samples":9000,"seconds":3,"latency":{"p99_seconds":0.0123},"server":{"cpu_seconds":0.0045,"written_bytes":49000,"peak_rss_bytes":2097152}},
"samples":10000,"first_time_ms":5,"last_time_ms":6}`

func TestTable(t *testing.T) {
	var r report
	if err := json.Unmarshal([]byte(reportText), &r); err != nil {
		t.Fatal(err)
	}
	got := table([]server{{name: "varve"}, {name: "none"}}, []result{
		{report: r, ready: 1500 * time.Millisecond, answer: 2 * time.Second, found: 9990, diskBytes: 12345}, {},
	})
	const want = `| | varve | none |
|---|---:|---:|
| steady: CPU-us per sample | 0.50 | - |
| steady: samples/s | 3000 | - |
| steady: p99 of a request, ms | 12.3 | 0.0 |
| first pass: CPU-us per new series | 10.0 | - |
| peak memory, MiB | 2 | 0 |
| written per sample by the last reply, bytes | 5.0 | - |
| on disk per sample after a forced merge, bytes | 1.23 | - |
| ready after kill -9, s | 1.50 | 0.00 |
| first answer after kill -9, s | 2.00 | 0.00 |
| acknowledged samples lost | 10 of 10000 | 0 of 0 |
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestMedianKeepsTheWorstLoss(t *testing.T) {
	round := func(cpu float64, ready time.Duration, lost int) result {
		var r result
		r.report.Steady.Server.CPUSeconds, r.report.Samples, r.ready, r.found = cpu, 100, ready, 100-lost
		return r
	}
	got := median([]result{round(3, 1, 0), round(1, 3, 7), round(2, 2, 0)})
	if got.report.Steady.Server.CPUSeconds != 2 || got.ready != 2 || got.found != 93 {
		t.Errorf("got %+v", got)
	}
}

func TestChooseAndLoads(t *testing.T) {
	o := options{only: "prometheus,varve", series: 10, passes: 3, perBody: 5, clients: 2, captures: "a/b.zst", copies: 4}
	servers, err := choose(o)
	if err != nil || servers[0].name != "prometheus" || servers[1].name != "varve" {
		t.Errorf("got %v, %v", servers, err)
	}
	if _, err := choose(options{only: "influx"}); err == nil {
		t.Error("an unknown server was chosen")
	}
	loads := o.loads()
	if len(loads) != 2 || !strings.Contains(strings.Join(loads[0].args, " "), "--samples=30") || !strings.Contains(strings.Join(loads[1].args, " "), "--file=a/b.zst") {
		t.Errorf("got %+v", loads)
	}
}

func TestDiskUsage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), make([]byte, 100_000), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := diskUsage(dir); err != nil || got != 100_000 {
		t.Errorf("got %d, %v", got, err)
	}
}
