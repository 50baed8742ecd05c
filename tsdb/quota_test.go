package tsdb

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// fixedQuota lets a tenant have a number of series, and of each metric.
type fixedQuota struct {
	series, ofMetric int
	refused          []string
}

func (q *fixedQuota) Admit(_ series.TenantID, have int, metricHas func(int) bool) series.Reason {
	switch {
	case have >= q.series:
		return series.ReasonTooManySeries
	case metricHas(q.ofMetric):
		return series.ReasonTooManyOfMetric
	}
	return ""
}

func (q *fixedQuota) Refused(_ series.TenantID, ls series.Labels) {
	q.refused = append(q.refused, ls.String())
}

func (q *fixedQuota) Describe(_ series.TenantID, reason series.Reason) string {
	return "limit of " + string(reason)
}

func TestQuota(t *testing.T) {
	store := memkv.New(memkv.Options{})
	o := testOptions()
	quota := &fixedQuota{series: 5, ofMetric: 3}
	o.Quota = quota
	db := openDB(t, store, o)
	at := testNow.UnixMilli()
	send := func(tenant series.TenantID, at int64, names ...string) series.Outcome {
		t.Helper()
		var b series.Batch
		for i, name := range names {
			if reason, detail := b.AddSeries(labels.FromStrings("__name__", name, "i", fmt.Sprint(i))); reason != "" {
				t.Fatal(detail)
			}
			b.AddSample(at, 0, float64(i))
			b.AddSample(at+1, 0, float64(i))
		}
		outcome, err := db.Append(context.Background(), tenant, &b)
		if err != nil {
			t.Fatal(err)
		}
		return outcome
	}
	got := send(0, at, "a", "a", "a", "a", "b", "b", "b")
	if got.Samples != 10 || len(got.Refused.All()) != 2 {
		t.Fatalf("stored %d samples: %s", got.Samples, got.Refused)
	}
	text := got.Refused.String()
	for _, want := range []string{`refused 2 samples (too_many_series_of_metric): limit of too_many_series_of_metric, first in series {__name__="a", i="3"}`, `refused 2 samples (too_many_series): limit of too_many_series, first in series {__name__="b", i="6"}`} {
		if !strings.Contains(text, want) {
			t.Errorf("got %q, want %q in it", text, want)
		}
	}
	// Series that are there go on, others of the batch do not hinder them, and
	// another tenant has room of its own.
	if got := send(0, at+10, "a", "a", "a", "c"); got.Samples != 6 || got.Refused.All()[0].Samples != 2 {
		t.Errorf("stored %d, %s", got.Samples, got.Refused)
	}
	if got := send(0, at+20, "x", "y", "z"); got.Samples != 0 || got.Refused.All()[0].Samples != 6 {
		t.Errorf("stored %d, %s", got.Samples, got.Refused)
	}
	if got := send(3, at, "a", "b"); got.Samples != 4 || !got.Refused.Empty() {
		t.Errorf("another tenant: stored %d, %s", got.Samples, got.Refused)
	}
	if n := db.SeriesByTenant(); n[0] != 5 || n[3] != 2 {
		t.Errorf("series by tenant: %v", n)
	}
	// A replay of the log asks nobody: what was stored stays.
	copied := memkv.New(memkv.Options{})
	copyStore(t, store, copied)
	o = testOptions()
	o.Quota = &fixedQuota{}
	again := openDB(t, copied, o)
	if n := again.SeriesByTenant(); n[0] != 5 || n[3] != 2 {
		t.Errorf("after a replay: %v", n)
	}
	if len(quota.refused) != 2+1+3 {
		t.Errorf("told of %d refused series: %v", len(quota.refused), quota.refused)
	}
}

func copyStore(t *testing.T, from, to kv.Store) {
	t.Helper()
	it, err := from.Scan(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	var batch kv.Batch
	for ok := it.SeekGE([]byte{}); ok; ok = it.Next() {
		batch.Set(it.Key(), it.Value())
	}
	if err := to.Apply(&batch, kv.Sync); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkAppendWithinQuota shows that a quota costs appends of known series
// nothing.
func BenchmarkAppendWithinQuota(b *testing.B) {
	for _, quota := range []Quota{nil, &fixedQuota{series: 1 << 30, ofMetric: 1 << 30}} {
		b.Run(fmt.Sprintf("quota=%v", quota != nil), func(b *testing.B) {
			o := testOptions()
			o.Quota = quota
			db := openDB(b, forgetfulStore{memkv.New(memkv.Options{})}, o)
			const n = 10_000
			encoded := encodedSeries("a", n)
			var batch series.Batch
			at := testNow.UnixMilli() - 3*dayMillis/4
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				at += 1000
				steadyBatch(&batch, encoded, at, float64(i))
				if i%100 == 99 {
					mustFlush(b, db)
				}
				b.StartTimer()
				if _, err := db.Append(context.Background(), series.DefaultTenant, &batch); err != nil {
					b.Fatal(err)
				}
			}
			reportPerSample(b, n)
		})
	}
}
