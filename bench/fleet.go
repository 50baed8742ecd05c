package bench

import (
	"fmt"
	"strconv"
)

// Fleet describes made-up targets as a Kubernetes cluster has them: pods of
// services in namespaces, each exposing container metrics, the Go runtime,
// request counters and latency histograms.
type Fleet struct {
	Series int     // of all pods together
	Seed   uint64  // another seed is another fleet: other pods, other values
	Labels []Label // set on every series
}

// line is one series of a pod's page.
type line struct {
	metric string
	labels []Label
	kind   Kind
	start  float64
}

// podLines is what every pod exposes, in the order of its page.
func podLines() []line {
	var lines []line
	add := func(kind Kind, start float64, metric string, labels ...Label) {
		lines = append(lines, line{metric, labels, kind, start})
	}
	add(Constant, 1, "up")
	add(Constant, 1, "kube_pod_info")
	add(SlowCounter, 0, "kube_pod_container_status_restarts_total")
	add(FloatCounter, 12, "container_cpu_usage_seconds_total")
	add(FloatCounter, 3, "container_cpu_system_seconds_total")
	add(SlowCounter, 0, "container_cpu_cfs_throttled_periods_total")
	add(ByteGauge, 1<<28, "container_memory_working_set_bytes")
	add(ByteGauge, 1<<27, "container_memory_rss")
	add(ByteGauge, 1<<26, "container_memory_cache")
	add(Constant, 1<<30, "container_spec_memory_limit_bytes")
	add(Constant, 200000, "container_spec_cpu_quota")
	for _, direction := range []string{"receive", "transmit"} {
		add(Counter, 1e6, "container_network_"+direction+"_bytes_total", Label{"interface", "eth0"})
		add(Counter, 1e4, "container_network_"+direction+"_packets_total", Label{"interface", "eth0"})
		add(Constant, 0, "container_network_"+direction+"_errors_total", Label{"interface", "eth0"})
	}
	for _, device := range []string{"/dev/vda", "/dev/vdb"} {
		add(SlowCounter, 100, "container_fs_reads_total", Label{"device", device})
		add(Counter, 1000, "container_fs_writes_total", Label{"device", device})
	}
	lines = append(lines, runtimeLines()...)
	for _, route := range []string{"/api/v1/items", "/api/v1/items/:id", "/api/v1/search", "/healthz"} {
		lines = append(lines, requestLines(route)...)
	}
	add(CountGauge, 4, "queue_depth", Label{"queue", "default"})
	add(RatioGauge, 0.5, "cache_hit_ratio", Label{"cache", "items"})
	add(FloatGauge, 20, "queue_age_seconds", Label{"queue", "default"})
	return lines
}

func runtimeLines() []line {
	lines := []line{
		{"go_goroutines", nil, CountGauge, 40},
		{"go_threads", nil, CountGauge, 12},
		{"go_info", []Label{{"version", "go1.26"}}, Constant, 1},
		{"go_memstats_alloc_bytes", nil, ByteGauge, 1 << 24},
		{"go_memstats_heap_inuse_bytes", nil, ByteGauge, 1 << 25},
		{"go_memstats_heap_objects", nil, CountGauge, 1e5},
		{"go_memstats_mallocs_total", nil, Counter, 1e7},
		{"go_memstats_frees_total", nil, Counter, 1e7},
		{"go_memstats_last_gc_time_seconds", nil, FloatGauge, 1.7e9},
		{"process_cpu_seconds_total", nil, FloatCounter, 15},
		{"process_open_fds", nil, CountGauge, 30},
		{"process_max_fds", nil, Constant, 1 << 20},
		{"process_resident_memory_bytes", nil, ByteGauge, 1 << 27},
		{"process_start_time_seconds", nil, Constant, 1.7e9},
	}
	for _, q := range []string{"0", "0.25", "0.5", "0.75", "1"} {
		lines = append(lines, line{"go_gc_duration_seconds", []Label{{"quantile", q}}, RatioGauge, 0})
	}
	return append(lines,
		line{"go_gc_duration_seconds_sum", nil, FloatCounter, 1},
		line{"go_gc_duration_seconds_count", nil, SlowCounter, 100})
}

func requestLines(route string) []line {
	var lines []line
	at := Label{"route", route}
	for _, code := range []string{"200", "404", "500"} {
		kind := SlowCounter
		if code == "200" {
			kind = Counter
		}
		lines = append(lines, line{"http_requests_total", []Label{at, {"code", code}, {"method", "GET"}}, kind, 0})
	}
	kind := FirstBucket
	for _, le := range []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"} {
		lines = append(lines, line{"http_request_duration_seconds_bucket", []Label{at, {"le", le}}, kind, 0})
		kind = Bucket
	}
	return append(lines,
		line{"http_request_duration_seconds_sum", []Label{at}, BucketSum, 0},
		line{"http_request_duration_seconds_count", []Label{at}, BucketCount, 0})
}

// podLabels returns the labels of a pod. A pod that is replaced has a new
// generation: another name and address in the same place.
func (f Fleet) podLabels(pod, generation int) []Label {
	service := pod % 200
	mix := newRandom(f.Seed<<40 ^ uint64(pod)<<16 ^ uint64(generation))
	suffix := strconv.FormatUint(mix.next()%(36*36*36*36*36), 36)
	name := fmt.Sprintf("service-%03d-%06x-%s", service, (f.Seed*2654435761)%(1<<24), suffix)
	ls := []Label{
		{"cluster", "production"},
		{"container", "app"},
		{"instance", fmt.Sprintf("10.%d.%d.%d:8080", pod>>16&255, pod>>8&255, pod&255)},
		{"job", fmt.Sprintf("service-%03d", service)},
		{"namespace", fmt.Sprintf("team-%02d", service/10)},
		{"node", fmt.Sprintf("node-%04d", pod/30)},
		{"pod", name},
	}
	for _, l := range f.Labels {
		ls = setLabel(ls, l.Name, l.Value)
	}
	return ls
}
