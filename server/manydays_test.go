package server

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// TestTenThousandDays sends one body with samples on ten thousand different days,
// and at the ends of time, to a node that keeps everything: what fits the limit is
// kept, the rest is refused with the limit's name, and others are not affected.
func TestTenThousandDays(t *testing.T) {
	n := startFull(t, t.TempDir(), func(c *Config, _ *Options) { c.Retention.Time = 0 })
	s := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "days"}}}
	for day := range 10_000 {
		s.Samples = append(s.Samples, prompb.Sample{Timestamp: noon.Add(-24 * time.Hour * time.Duration(day)).UnixMilli(), Value: 1})
	}
	s.Samples = append(s.Samples, prompb.Sample{Timestamp: math.MinInt64}, prompb.Sample{Timestamp: math.MaxInt64})
	body, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{s}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	answer := n.write("/api/v1/write", string(snappy.Encode(nil, body)))
	for _, want := range []string{
		"refused 9600 samples (too_many_partitions)", "400 partitions", "refused 1 sample (too_old)", "refused 1 sample (too_far_ahead)", `{__name__="days"}`,
	} {
		if answer.code != 400 || !strings.Contains(answer.body, want) {
			t.Errorf("status %d, want 400 and %q: %s", answer.code, want, answer.body)
		}
	}
	n.write("/api/v1/write", writeRequest(t, "other", noon, 10)).want(t, "another sender", 204, "")
	n.query("other", noon).want(t, "another sender's sample", 200, `"9"`)
	n.query("sum(count_over_time(days[10000d]))", noon).want(t, "what was kept", 200, `"400"`)
}
