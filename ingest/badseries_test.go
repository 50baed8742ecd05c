package ingest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
)

func TestBadSeriesAreRefusedAndGoodOnesKept(t *testing.T) {
	million := make([]prompb.Label, 1<<20)
	for i := range million {
		million[i] = prompb.Label{Name: fmt.Sprint("l", i), Value: "v"}
	}
	name := prompb.Label{Name: "__name__", Value: "bad"}
	cases := map[string][]prompb.Label{
		"no_metric_name":   {{Name: "job", Value: "x"}},
		"empty_label_name": {name, {Name: "", Value: "x"}},
		"duplicate_label":  {name, {Name: "a", Value: "x"}, {Name: "a", Value: "x"}},
		"invalid_utf8":     {name, {Name: "a", Value: "\xc3\x28"}},
		"label_too_long":   {name, {Name: "a", Value: strings.Repeat("x", 1<<20)}},
		"too_many_labels":  million,
	}
	bothWays(t, Options{}, func(t *testing.T, d *door) {
		for reason, labels := range cases {
			before := d.count()
			r := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{
				{Labels: labels, Samples: []prompb.Sample{{Timestamp: 1}, {Timestamp: 2}}},
				{Labels: []prompb.Label{{Name: "__name__", Value: "good"}}, Samples: []prompb.Sample{{Timestamp: 3}}},
			}}
			plain, err := r.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			got := d.post(t, typeV1, "snappy", snappy.Encode(nil, plain))
			if got.status != 400 || !strings.HasPrefix(got.body, "refused 2 samples ("+reason+"): ") || len(got.body) > 4096 {
				t.Errorf("%s: %d %.300s", reason, got.status, got.body)
			}
			if d.count() != before+1 || len(d.requests[before].Values) != 1 {
				t.Errorf("%s: the good series was not stored", reason)
			}
		}
	})
}

func TestExtremeTimestampsReachTheStorage(t *testing.T) {
	d := open(t, true, Options{})
	for _, ts := range []int64{math.MaxInt64, 0} {
		if got := d.post(t, typeV2, "snappy", bodyV2(batchOf(ts, "up"))); got.status != 204 || d.requests[d.count()-1].Timestamps[0] != ts {
			t.Errorf("%d: %+v", ts, got)
		}
	}
	// It is the storage that refuses, as this one does below 0.
	if got := d.post(t, typeV2, "snappy", bodyV2(batchOf(math.MinInt64, "up"))); got.status != 400 || !strings.Contains(got.body, "too_old") {
		t.Errorf("%+v", got)
	}
}
