package clients

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/prometheus/client_golang/exp/api/remote"
	writev2 "github.com/prometheus/client_golang/exp/api/remote/genproto/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// startVarve starts the binary that VARVE_BINARY names and returns its address.
func startVarve(t *testing.T) string {
	t.Helper()
	program := os.Getenv("VARVE_BINARY")
	if program == "" {
		t.Fatal("VARVE_BINARY names no program: make build, then VARVE_BINARY=$PWD/bin/varve")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", "--storage.path", t.TempDir(), "--http.listen", address)
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("varve ended: %v", err)
		}
	})
	base := "http://" + address
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if r, err := http.Get(base + "/-/ready"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return base
			}
		}
		if time.Now().After(end) {
			t.Fatal("varve is not ready after 30 s")
		}
	}
}

// value asks a query that has one answer.
func value(t *testing.T, base, query string) float64 {
	t.Helper()
	r, err := http.Get(base + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Data.Result) != 1 {
		t.Fatalf("%s has %d answers", query, len(answer.Data.Result))
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func want(t *testing.T, base, query string, v float64) {
	t.Helper()
	if got := value(t, base, query); got != v {
		t.Errorf("%s is %v, want %v", query, got, v)
	}
}

func TestOpenTelemetrySDK(t *testing.T) {
	base, ctx := startVarve(t), context.Background()
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(base+"/api/v1/otlp/v1/metrics"),
		otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	view := sdk.NewView(sdk.Instrument{Name: "payload"}, sdk.Stream{Aggregation: sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}})
	provider := sdk.NewMeterProvider(sdk.WithReader(sdk.NewPeriodicReader(exporter)), sdk.WithView(view),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"), attribute.String("service.instance.id", "i-1"))))
	meter := provider.Meter("test")
	requests, err := meter.Int64Counter("http.requests", metric.WithUnit("{request}"))
	if err != nil {
		t.Fatal(err)
	}
	duration, err := meter.Float64Histogram("http.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 1))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := meter.Int64Histogram("payload", metric.WithUnit("By"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		requests.Add(ctx, 2, metric.WithAttributes(attribute.String("method", "GET")))
		duration.Record(ctx, float64(i)/10)
		payload.Record(ctx, int64(100*i))
	}
	if err := provider.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, base, `http_requests_total{method="GET",job="shop",instance="i-1"}`, 20)
	want(t, base, `http_duration_seconds_bucket{le="0.1"}`, 2)
	want(t, base, `http_duration_seconds_count`, 10)
	want(t, base, `histogram_count(payload_bytes)`, 10)
	want(t, base, `histogram_sum(payload_bytes)`, 4500)
}

func TestInfluxClient(t *testing.T) {
	base, ctx := startVarve(t), context.Background()
	client := influxdb2.NewClientWithOptions(base, "", influxdb2.DefaultOptions().SetUseGZip(true).SetPrecision(time.Millisecond))
	defer client.Close()
	write := client.WriteAPIBlocking("org", "telegraf")
	for i := range 5 {
		p := influxdb2.NewPoint("cpu", map[string]string{"host": "h 1"}, map[string]any{"usage_user": 1.5 + float64(i), "cores": 8, "on": true},
			time.Now().Add(time.Duration(i-5)*time.Second))
		if err := write.WritePoint(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	want(t, base, `cpu_usage_user{host="h 1"}`, 5.5)
	want(t, base, `cpu_cores`, 8)
	want(t, base, `cpu_on`, 1)
	want(t, base, `count_over_time(cpu_usage_user[1m])`, 5)
}

func TestRemoteWriteClient(t *testing.T) {
	base, ctx := startVarve(t), context.Background()
	api, err := remote.NewAPI(base, remote.WithAPIPath("api/v1/write"))
	if err != nil {
		t.Fatal(err)
	}
	symbols := writev2.NewSymbolTable()
	refs := symbols.SymbolizeLabels([]string{"__name__", "up", "job", "node"}, nil)
	now := time.Now().UnixMilli()
	message := &writev2.Request{Timeseries: []*writev2.TimeSeries{{
		LabelsRefs: refs, Samples: []*writev2.Sample{{Value: 0, Timestamp: now - 1000}, {Value: 1, Timestamp: now}},
	}}}
	message.Symbols = symbols.Symbols()
	stats, err := api.Write(ctx, remote.WriteV2MessageType, message)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Samples != 2 {
		t.Errorf("the server confirms %d samples", stats.Samples)
	}
	want(t, base, `up{job="node"}`, 1)
	want(t, base, `count_over_time(up[1m])`, 2)
}
