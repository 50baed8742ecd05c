package bench

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var testEnd = time.UnixMilli(testStart).Truncate(time.Minute)

func testSets() []DataSet {
	jitter := NewCounterSet(9, 3*time.Minute)
	jitter.Jitter = true
	return []DataSet{NewCounterSet(9, 3*time.Minute), jitter, NewCPUSet(5, 2*time.Minute), NewBucketSet(4, 3*time.Minute), NewPodSet(3, 2)}
}

// drain returns all samples of a set by series.
func drain(t *testing.T, d DataSet, connections int) map[string][]sample {
	t.Helper()
	sources, err := d.Sources(DataOptions{Protocol: RemoteWrite1, SamplesPerRequest: 10, Connections: connections, End: testEnd})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]sample{}
	for _, s := range sources {
		for {
			b, ok := s.Next(context.Background())
			if !ok {
				break
			}
			got := decode(t, RemoteWrite1, b.Bytes)
			if len(got) != b.Samples {
				t.Errorf("a body of %d samples has %d", b.Samples, len(got))
			}
			for _, x := range got {
				all[x.series] = append(all[x.series], x)
			}
		}
	}
	return all
}

func TestDataSetsAreWholeInOrderAndTheSameOnAnyConnections(t *testing.T) {
	for _, d := range testSets() {
		all := drain(t, d, 1)
		if len(all) != d.Series {
			t.Errorf("%s has %d series, want %d", d.Name, len(all), d.Series)
		}
		total := 0
		for series, samples := range all {
			total += len(samples)
			first, last := samples[0].time, samples[len(samples)-1].time
			if !slices.IsSortedFunc(samples, func(x, y sample) int { return cmp.Compare(x.time, y.time) }) {
				t.Errorf("%s is not in order", series)
			}
			if first < testEnd.Add(-d.Span).UnixMilli() || last > testEnd.UnixMilli() || last < testEnd.Add(-d.Interval).UnixMilli() {
				t.Errorf("%s goes from %d to %d, and the set ends at %d", series, first, last, testEnd.UnixMilli())
			}
		}
		if total != d.Samples() {
			t.Errorf("%s has %d samples, want %d", d.Name, total, d.Samples())
		}
		if !reflect.DeepEqual(all, drain(t, d, 3)) {
			t.Errorf("%s is another set on three connections", d.Name)
		}
	}
}

func TestJitterGivesEverySeriesItsTimes(t *testing.T) {
	columns := func(d DataSet) int {
		seen := map[string]bool{}
		for _, samples := range drain(t, d, 1) {
			var b strings.Builder
			for _, x := range samples {
				b.WriteString(time.UnixMilli(x.time).Format(time.StampMilli))
			}
			seen[b.String()] = true
		}
		return len(seen)
	}
	d := NewCounterSet(9, 3*time.Minute)
	if got := columns(d); got != 9 {
		t.Errorf("9 hosts have %d columns of timestamps", got)
	}
	d.Jitter = true
	if got := columns(d); got != 27 {
		t.Errorf("27 jittered series have %d columns of timestamps", got)
	}
}

func TestBucketsAreCumulative(t *testing.T) {
	rows := map[int64]map[string]float64{}
	d := NewBucketSet(1, 5*time.Minute)
	for series, samples := range drain(t, d, 1) {
		for _, x := range samples {
			if rows[x.time] == nil {
				rows[x.time] = map[string]float64{}
			}
			rows[x.time][series] = x.value
		}
	}
	order := []string{"0.005}", "0.01}", "0.025}", "0.05}", "0.1}", "0.25}", "0.5}", "1}", "2.5}", "5}", "10}", "+Inf}"}
	for at, row := range rows {
		below := -1.0
		for _, le := range order {
			for _, series := range slices.Collect(maps.Keys(row)) {
				if !strings.Contains(series, "{le "+le) {
					continue
				}
				if row[series] < below {
					t.Errorf("at %d the bucket %s has %v, the one below %v", at, le, row[series], below)
				}
				below = row[series]
			}
		}
		if below < 0 {
			t.Fatalf("no bucket found in %v", row)
		}
	}
}

func TestUntilHoldsASourceBack(t *testing.T) {
	d := NewCounterSet(9, 3*time.Minute)
	sources, err := d.Sources(DataOptions{Protocol: RemoteWrite1, SamplesPerRequest: 10, Connections: 1, End: testEnd})
	if err != nil {
		t.Fatal(err)
	}
	s, total := sources[0], 0
	for minute := range 4 {
		s.Until(testEnd.Add(-d.Span + time.Duration(minute+1)*time.Minute).UnixMilli())
		for {
			b, ok := s.Next(context.Background())
			if !ok {
				break
			}
			total += b.Samples
		}
		if want := min(minute+1, 3) * 4 * d.Series; total != want {
			t.Errorf("%d samples by minute %d, want %d", total, minute+1, want)
		}
	}
}

func TestSourcesRefuseEmptySets(t *testing.T) {
	for _, d := range []DataSet{NewCounterSet(0, time.Hour), NewCounterSet(1, time.Second), {Series: 1, Interval: time.Millisecond, Span: time.Hour}} {
		if _, err := d.Sources(DataOptions{End: testEnd}); err == nil {
			t.Errorf("%d series over %v were accepted", d.Series, d.Span)
		}
	}
}

func TestLoad(t *testing.T) {
	_, address := startReceiver(t, always(http.StatusNoContent))
	d := NewCounterSet(20, 25*time.Minute)
	how := DataOptions{Protocol: RemoteWrite1, SamplesPerRequest: 10, Connections: 2, End: testEnd}
	r, err := d.Load(context.Background(), how, IngestOptions{URL: address, PID: os.Getpid()})
	if err != nil || r.Samples != d.Samples() || r.Seconds <= 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	_, address = startReceiver(t, always(http.StatusBadRequest))
	if _, err := d.Load(context.Background(), how, IngestOptions{URL: address, PID: os.Getpid()}); err == nil {
		t.Error("refused samples went unnoticed")
	}
}

func TestCPUTime(t *testing.T) {
	proc := t.TempDir()
	for thread, text := range map[string]string{"7": "1500000 20 3\n", "8": "250000 1 1\n"} {
		dir := filepath.Join(proc, "7", "task", thread)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "schedstat"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := cpuTime(proc, 7); err != nil || got != 1750*time.Microsecond {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := cpuTime(proc, 9); err == nil {
		t.Error("a process that is not there has a time")
	}
	if got, err := CPUTimeOnceQuiet(os.Getpid(), time.Second); err != nil || got <= 0 {
		t.Errorf("this process used %v, %v", got, err)
	}
}

func TestValuesOfGauges(t *testing.T) {
	s := scrape{random: newRandom(3)}
	percent, tenth, counter := model{PercentGauge, 50}, model{TenthGauge, 5}, model{RestartingCounter, 0}
	restarts, last := 0, 0.0
	for range 100_000 {
		if v := s.next(&percent); v < 0 || v > 100 || v != float64(int(v)) {
			t.Fatalf("a percentage of %v", v)
		}
		if v := s.next(&tenth); v < 0 || v != float64(int(v*10+0.5))/10 {
			t.Fatalf("%v has more than one decimal", v)
		}
		v := s.next(&counter)
		if v < last {
			restarts++
		}
		last = v
	}
	if restarts < 3 || restarts > 40 {
		t.Errorf("%d restarts in 100,000 scrapes", restarts)
	}
}
