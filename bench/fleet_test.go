package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// sample is one decoded sample.
type sample struct {
	series string
	time   int64
	value  float64
}

// decode reads a body with Prometheus's own types.
func decode(t testing.TB, p Protocol, block []byte) []sample {
	t.Helper()
	plain, err := snappy.Decode(nil, block)
	if err != nil {
		t.Fatal(err)
	}
	var got []sample
	add := func(ls []Label, times []int64, values []float64) {
		if !slices.IsSortedFunc(ls, func(x, y Label) int { return cmpString(x.Name, y.Name) }) {
			t.Errorf("labels are not in order: %v", ls)
		}
		if len(times) != 1 {
			t.Errorf("%d samples", len(times))
		}
		got = append(got, sample{fmt.Sprint(ls), times[0], values[0]})
	}
	if p == RemoteWrite1 {
		var request prompb.WriteRequest
		if err := request.Unmarshal(plain); err != nil {
			t.Fatal(err)
		}
		for _, s := range request.Timeseries {
			var ls []Label
			for _, l := range s.Labels {
				ls = append(ls, Label{l.Name, l.Value})
			}
			add(ls, []int64{s.Samples[0].Timestamp}, []float64{s.Samples[0].Value})
		}
		return got
	}
	var request writev2.Request
	if err := request.Unmarshal(plain); err != nil {
		t.Fatal(err)
	}
	if request.Symbols[0] != "" {
		t.Error("the first symbol must be empty")
	}
	for _, s := range request.Timeseries {
		var ls []Label
		for i := 0; i < len(s.LabelsRefs); i += 2 {
			ls = append(ls, Label{request.Symbols[s.LabelsRefs[i]], request.Symbols[s.LabelsRefs[i+1]]})
		}
		add(ls, []int64{s.Samples[0].Timestamp}, []float64{s.Samples[0].Value})
	}
	return got
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

const testStart = int64(1_760_000_000_000)

func testFleet(series int) FleetOptions {
	return FleetOptions{
		Fleet: Fleet{Series: series, Seed: 5, Labels: []Label{{"replica", "a"}}}, Protocol: RemoteWrite1,
		SamplesPerRequest: 250, Connections: 3, Start: testStart, Interval: 15000,
	}
}

// passes runs n passes of all sources and returns the samples of each pass.
func passes(t *testing.T, o FleetOptions, n int) [][]sample {
	t.Helper()
	sources, err := NewFleet(o)
	if err != nil {
		t.Fatal(err)
	}
	all := make([][]sample, n)
	for _, s := range sources {
		for pass := range n {
			for range s.FirstPass() {
				b, ok := s.Next(context.Background())
				if !ok {
					t.Fatal("the source ended")
				}
				got := decode(t, o.Protocol, b.Bytes)
				if len(got) != b.Samples || b.Samples > o.SamplesPerRequest {
					t.Errorf("a body of %d samples has %d", b.Samples, len(got))
				}
				if want := o.Start + int64(pass)*o.Interval; b.Time != want {
					t.Errorf("pass %d is at %d, want %d", pass, b.Time, want)
				}
				all[pass] = append(all[pass], got...)
			}
		}
	}
	return all
}

func TestFleetScrapesEverySeriesOncePerPass(t *testing.T) {
	for _, p := range []Protocol{RemoteWrite1, RemoteWrite2} {
		for _, series := range []int{1, 99, 2000} {
			o := testFleet(series)
			o.Protocol = p
			first := map[string]sample{}
			for pass, got := range passes(t, o, 3) {
				seen := map[string]sample{}
				for _, s := range got {
					seen[s.series] = s
					if low := o.Start + int64(pass)*o.Interval; s.time < low || s.time >= low+o.Interval {
						t.Errorf("pass %d has time %d", pass, s.time)
					}
					if pass > 0 {
						if f, ok := first[s.series]; !ok || s.time != f.time+int64(pass)*o.Interval {
							t.Fatalf("%s is not one interval on", s.series)
						}
					}
				}
				if len(seen) != series {
					t.Errorf("pass %d has %d series, want %d", pass, len(seen), series)
				}
				if pass == 0 {
					first = seen
				}
			}
		}
	}
}

func TestFleetProtocolsAgree(t *testing.T) {
	one, two := testFleet(1000), testFleet(1000)
	two.Protocol = RemoteWrite2
	x, y := passes(t, one, 4), passes(t, two, 4)
	for i := range x {
		if !slices.Equal(x[i], y[i]) {
			t.Errorf("pass %d differs", i)
		}
	}
}

func TestFleetIsReproducibleAndSeedsDiffer(t *testing.T) {
	a, b := passes(t, testFleet(300), 2), passes(t, testFleet(300), 2)
	if !slices.Equal(a[1], b[1]) {
		t.Error("two runs with one seed differ")
	}
	o := testFleet(300)
	o.Seed = 6
	other := map[string]bool{}
	for _, s := range passes(t, o, 1)[0] {
		other[s.series] = true
	}
	for _, s := range a[0] {
		if other[s.series] {
			t.Fatalf("%s is in both fleets", s.series)
		}
	}
}

func TestFleetChurn(t *testing.T) {
	o := testFleet(2000)
	o.ChurnPerMinute = 800 // a fifth of the series each two passes
	const n = 41           // ten minutes and the first pass
	seen := map[string]bool{}
	for _, got := range passes(t, o, n) {
		if len(got) != 2000 {
			t.Fatalf("a pass has %d samples", len(got))
		}
		for _, s := range got {
			seen[s.series] = true
		}
	}
	fresh := len(seen) - 2000
	if want := 8000; fresh < want-300 || fresh > want+300 {
		t.Errorf("%d new series in ten minutes, want about %d", fresh, want)
	}
}

func TestFleetTimestampsMustFit(t *testing.T) {
	o := testFleet(10)
	o.Start = 5
	if _, err := NewFleet(o); err == nil {
		t.Error("a start in 1970 must be refused")
	}
	none := testFleet(0)
	if _, err := NewFleet(none); err == nil || !strings.Contains(err.Error(), "number of series is 0") {
		t.Errorf("no series gave %v", err)
	}
	o.Start = timestampMax - o.Interval + 1
	sources, err := NewFleet(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := sources[0].Next(context.Background()); ok {
		t.Error("a body beyond the last timestamp was made")
	}
	o = testFleet(10)
	o.End = o.Start + 2*o.Interval
	if sources, err = NewFleet(o); err != nil {
		t.Fatal(err)
	}
	bodies := 0
	for {
		if _, ok := sources[0].Next(context.Background()); !ok {
			break
		}
		bodies++
	}
	if bodies != 3 {
		t.Errorf("%d passes up to the end, want 3", bodies)
	}
}

func TestValuesMoveByKind(t *testing.T) {
	s := scrape{random: newRandom(3)}
	buckets := []model{{FirstBucket, 0}, {Bucket, 0}, {Bucket, 0}, {BucketSum, 0}, {BucketCount, 0}}
	constant, counter, gauge := model{Constant, 7}, model{Counter, 0}, model{ByteGauge, 1 << 20}
	for range 1000 {
		was := counter.value
		if v := s.next(&counter); v < was || v != math.Trunc(v) {
			t.Fatalf("counter went from %v to %v", was, v)
		}
		if v := s.next(&gauge); v < 0 || math.Mod(v, 4096) != 0 {
			t.Fatalf("gauge %v", v)
		}
		if v := s.next(&constant); v != 7 {
			t.Fatalf("constant %v", v)
		}
		for i := range buckets {
			s.next(&buckets[i])
		}
		for i := range 2 {
			if buckets[i].value > buckets[i+1].value {
				t.Fatal("buckets are not cumulative")
			}
		}
		if buckets[4].value != buckets[2].value {
			t.Fatal("the count differs from the last bucket")
		}
	}
}

func BenchmarkStampNanosecondsPerSample(b *testing.B) {
	o := testFleet(10000)
	o.SamplesPerRequest, o.Connections = 10000, 1
	sources, err := NewFleet(o)
	if err != nil {
		b.Fatal(err)
	}
	wire := 0
	for b.Loop() {
		body, _ := sources[0].Next(context.Background())
		wire = len(body.Bytes)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10000, "ns/sample")
	b.ReportMetric(float64(wire)/10000, "wire-B/sample")
}
