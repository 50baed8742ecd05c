package bench

import (
	"fmt"
	"strconv"
	"time"
)

// NewCounterSet returns the data set of counters and gauges: every host has a
// counter c and the gauges m and d, and is in one of seven data centres.
func NewCounterSet(hosts int, span time.Duration) DataSet {
	metrics := []struct {
		name string
		kind Kind
	}{{"c", RestartingCounter}, {"m", HundredthGauge}, {"d", TenthGauge}}
	return DataSet{
		Name: "main", Series: hosts * len(metrics), Interval: 15 * time.Second, Span: span,
		Member: func(i int) Member {
			host, metric := i/len(metrics), metrics[i%len(metrics)]
			return Member{
				Labels: []Label{
					{"__name__", metric.name}, {"h", hostName(host)},
					{"dc", fmt.Sprintf("dc%d", host%7)}, {"core", strconv.Itoa(host % 16)},
				},
				Target: host, Kind: metric.kind, Start: float64(startOf(i) % 10000),
			}
		},
	}
}

var (
	cpuFields = []string{
		"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait",
		"usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice",
	}
	cpuRegions = []string{"us-east-1", "us-west-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-northeast-1", "sa-east-1"}
	cpuTeams   = []string{"SF", "NYC", "LON", "CHI"}
)

// NewCPUSet returns the processor metrics of the Time Series Benchmark Suite,
// with its tags: ten fields of one metric a host. A label tells the fields
// apart, so that range functions over several need no metric name.
func NewCPUSet(hosts int, span time.Duration) DataSet {
	return DataSet{
		Name: "tsbs", Series: hosts * len(cpuFields), Interval: 10 * time.Second, Span: span,
		Member: func(i int) Member {
			host := i / len(cpuFields)
			x := startOf(host)
			region := cpuRegions[x%8]
			return Member{
				Labels: []Label{
					{"__name__", "cpu"}, {"field", cpuFields[i%len(cpuFields)]}, {"h", hostName(host)},
					{"region", region}, {"datacenter", region + string("abc"[x>>8%3])}, {"rack", strconv.FormatUint(x>>16%100, 10)},
					{"os", [...]string{"Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"}[x>>24%3]}, {"arch", [...]string{"x64", "x86"}[x>>28%2]},
					{"team", cpuTeams[x>>32%4]}, {"service", strconv.FormatUint(x>>36%20, 10)},
					{"service_version", strconv.FormatUint(x>>42%2, 10)}, {"service_environment", [...]string{"production", "staging", "test"}[x>>44%3]},
				},
				Target: host, Kind: PercentGauge, Start: float64(startOf(i) % 101),
			}
		},
	}
}

// NewBucketSet returns the buckets of a classic histogram of every host.
func NewBucketSet(hosts int, span time.Duration) DataSet {
	bounds := []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"}
	return DataSet{
		Name: "histogram", Series: hosts * len(bounds), Interval: 15 * time.Second, Span: span,
		Member: func(i int) Member {
			host, bucket := i/len(bounds), i%len(bounds)
			kind := Bucket
			if bucket == 0 {
				kind = FirstBucket
			}
			return Member{
				Labels: []Label{{"__name__", "b_bucket"}, {"h", hostName(host)}, {"dc", fmt.Sprintf("dc%d", host%7)}, {"le", bounds[bucket]}},
				Target: host, Kind: kind,
			}
		},
	}
}

// PodMetrics is how many series a pod of NewPodSet has.
const PodMetrics = 200

// NewPodSet returns many series with few samples: pods of 200 namespaces.
func NewPodSet(pods, scrapes int) DataSet {
	const namespaces = 200
	kinds := [...]Kind{Counter, HundredthGauge, CountGauge, Constant, FloatCounter}
	return DataSet{
		Name: "big", Series: pods * PodMetrics, Interval: 30 * time.Second, Span: time.Duration(scrapes) * 30 * time.Second,
		Member: func(i int) Member {
			pod, metric := i/PodMetrics, i%PodMetrics
			return Member{
				Labels: []Label{
					{"__name__", fmt.Sprintf("metric_%03d", metric)}, {"namespace", fmt.Sprintf("namespace-%03d", pod%namespaces)},
					{"pod", PodName(pod)}, {"container", [...]string{"app", "proxy", "logs"}[metric%3]}, {"job", fmt.Sprintf("job-%02d", pod%50)},
				},
				Target: pod, Kind: kinds[metric%len(kinds)], Start: float64(startOf(i) % 1000),
			}
		},
	}
}

// PodName returns the pod label of a pod of NewPodSet.
func PodName(pod int) string {
	return fmt.Sprintf("service-%03d-%06x-%s", pod%250, startOf(pod)%(1<<24), strconv.FormatUint(36*36*36*36+startOf(pod)>>24%(36*36*36*36), 36))
}

func hostName(host int) string { return fmt.Sprintf("host-%04d", host) }

// startOf scatters the numbers of series.
func startOf(i int) uint64 {
	r := newRandom(uint64(i) + 1)
	r.next()
	return r.next() >> 8
}
