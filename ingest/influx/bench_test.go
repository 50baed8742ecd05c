package influx

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/varve-db/varve/series"
)

// cpuLines are lines as a load generator for databases sends them: ten tags, not
// in order, and ten fields.
func cpuLines(hosts int) [][]byte {
	var lines [][]byte
	for i := range hosts {
		var fields []string
		for j, f := range []string{"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"} {
			fields = append(fields, fmt.Sprintf("%s=%di", f, (i*7+j*13)%101))
		}
		lines = append(lines, []byte(fmt.Sprintf("cpu,hostname=host_%d,region=eu-central-1,datacenter=eu-central-1a,rack=%d,os=Ubuntu15.10,arch=x64,team=SF,service=%d,service_version=1,service_environment=production %s 1451606400%09d",
			i, i%100, i%20, strings.Join(fields, ","), i)))
	}
	return lines
}

// BenchmarkDecodeCPU measures what a sample costs from text to a batch's row.
func BenchmarkDecodeCPU(b *testing.B) {
	const hosts, fields = 1000, 10
	lines := cpuLines(hosts)
	bytes := 0
	for _, line := range lines {
		bytes += len(line) + 1
	}
	var d Decoder
	d.Begin(Options{Database: "benchmark"})
	var dst series.Batch
	b.ReportAllocs()
	b.SetBytes(int64(bytes))
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for b.Loop() {
		dst.Reset()
		for _, line := range lines {
			if Split(line) > 0 {
				b.Fatal("a line within a line")
			}
			if err := d.Line(&dst, line); err != nil {
				b.Fatal(err)
			}
		}
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	if len(dst.Rows) != hosts*fields {
		b.Fatalf("%d rows", len(dst.Rows))
	}
	b.ReportMetric(float64(after.Utime.Nano()-before.Utime.Nano())/float64(b.N*hosts*fields), "CPU-ns/sample")
}
