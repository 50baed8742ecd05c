package tenant

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

func limited(t *testing.T, l Limits) *Tenant {
	t.Helper()
	tenant := &Tenant{Name: "team-a"}
	tenant.setLimits(l)
	return tenant
}

func batchOf(t *testing.T, times []int64, sets ...labels.Labels) *series.Batch {
	t.Helper()
	b := &series.Batch{}
	for _, ls := range sets {
		if reason, detail := b.AddSeries(ls); reason != "" {
			t.Fatal(detail)
		}
		for _, at := range times {
			b.AddSample(at, 0, float64(at))
		}
	}
	return b
}

func TestRate(t *testing.T) {
	now := day
	send := func(tenant *Tenant, samples int) error {
		_, err := tenant.Enforce(batchOf(t, make([]int64, samples), labels.FromStrings("__name__", "m")), now)
		return err
	}
	a := limited(t, Limits{SamplesPerSecond: 100, SamplesBurst: 200})
	for i, want := range []error{nil, nil, nil, ErrTooFast, ErrTooFast} {
		if err := send(a, 90); !errors.Is(err, want) {
			t.Errorf("batch %d: %v", i, err)
		}
	}
	if got := a.Usage.Throttled.Load(); got != 180 {
		t.Errorf("%d samples throttled", got)
	}
	if err := send(a, 1); err == nil || !strings.Contains(err.Error(), "tenant team-a may write 100 samples a second (samples-per-second)") {
		t.Errorf("got %v", err)
	}
	now = now.Add(time.Second) // 70 are owed: 30 are left
	if err := send(a, 1000); err != nil {
		t.Errorf("a batch above the burst never passes: %v", err)
	}
	now = now.Add(9 * time.Second)
	if err := send(a, 1); err == nil {
		t.Error("a debt is forgotten")
	}
	now = now.Add(time.Second)
	if err := send(a, 1); err != nil {
		t.Errorf("a debt is never paid: %v", err)
	}
	now = now.Add(-time.Hour) // a clock that is set back
	if err := send(a, 1); err != nil {
		t.Error(err)
	}
	b := limited(t, Limits{SamplesPerSecond: 10}) // ten seconds' worth at once
	for i, want := range []error{nil, nil, ErrTooFast} {
		if err := send(b, 50); !errors.Is(err, want) {
			t.Errorf("without a burst, batch %d: %v", i, err)
		}
	}
	// Metadata alone is not paced.
	if _, err := b.Enforce(&series.Batch{Metadata: []series.Metadata{{Metric: "m"}}}, now); err != nil {
		t.Error(err)
	}
}

func TestBatchesAreFiltered(t *testing.T) {
	at := day.UnixMilli()
	hour := time.Hour.Milliseconds()
	times := []int64{at - 3*hour, at - hour, at, at + 2*hour}
	sets := []labels.Labels{
		labels.FromStrings("__name__", "m", "a", "1"),
		labels.FromStrings("__name__", "m", "a", "1", "b", "2"),
		labels.FromStrings("__name__", "m", "longer_name", "1"),
		labels.FromStrings("__name__", "m", "a", strings.Repeat("v", 20)),
	}
	cases := []struct {
		limits Limits
		rows   int
		left   int // samples
		want   string
	}{
		{Limits{}, 4, 16, ""},
		{Limits{LabelsMax: 2}, 3, 12, "refused 4 samples (too_many_labels): 3 labels, the tenant's limit is 2 (labels), first in series {__name__=\"m\", a=\"1\", b=\"2\"}"},
		{Limits{LabelNameBytesMax: 10}, 3, 12, "refused 4 samples (label_too_long): a label's name has 11 bytes, the tenant's limit is 10 (label-name-bytes), first in series {__name__=\"m\", longer_name=\"1\"}"},
		{Limits{LabelValueBytesMax: 19}, 3, 12, "refused 4 samples (label_too_long): the value of label a has 20 bytes, the tenant's limit is 19 (label-value-bytes), first in series"},
		{Limits{AgeMax: 2 * time.Hour}, 4, 12, "refused 4 samples (too_old): older than the tenant may write, 2h (age), first in series {__name__=\"m\", a=\"1\"}"},
		{Limits{AheadMax: time.Hour}, 4, 12, "refused 4 samples (too_far_ahead): further ahead of the clock than the tenant may write, 1h (ahead)"},
		{Limits{AgeMax: time.Minute, AheadMax: time.Minute, LabelsMax: 2}, 3, 3, "too_many_labels"},
	}
	for _, c := range cases {
		tenant := limited(t, c.limits)
		b := batchOf(t, times, sets...)
		refused, err := tenant.Enforce(b, day)
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		for i, row := range b.Rows {
			left += row.Samples.Len()
			for s := row.Samples.Start; s < row.Samples.End; s++ {
				if b.Values[s] != float64(b.Timestamps[s]) {
					t.Errorf("%+v: row %d has a value of another time", c.limits, i)
				}
			}
		}
		if len(b.Rows) != c.rows || left != c.left || !strings.Contains(refused.String(), c.want) || refused.Empty() != (c.want == "") {
			t.Errorf("%+v: %d rows, %d samples, %s", c.limits, len(b.Rows), left, refused)
		}
		if got := tenant.Usage.Refused.Load(); got != uint64(16-c.left) {
			t.Errorf("%+v: %d counted as refused", c.limits, got)
		}
	}
}

func TestFilterKeepsHistogramsExemplarsAndStarts(t *testing.T) {
	at := day.UnixMilli()
	b := batchOf(t, nil, labels.FromStrings("__name__", "m"))
	b.AddSample(at-100_000, 5, 1)
	b.AddSample(at, 7, 2)
	b.AddHistogram(series.Histogram{Timestamp: at - 100_000})
	b.AddHistogram(series.Histogram{Timestamp: at})
	for _, when := range []int64{at - 100_000, at} {
		b.BeginLabels()
		b.AddExemplar(when, float64(when), series.LabelRules{})
	}
	refused, err := limited(t, Limits{AgeMax: time.Minute}).Enforce(b, day)
	if err != nil {
		t.Fatal(err)
	}
	row := b.Rows[0]
	if row.Samples.Len() != 1 || row.Histograms.Len() != 1 || row.Exemplars.Len() != 1 ||
		b.Timestamps[row.Samples.Start] != at || b.Values[row.Samples.Start] != 2 || b.StartOf(row.Samples.Start) != 7 ||
		b.Histograms[row.Histograms.Start].Timestamp != at || b.Exemplars[row.Exemplars.Start].Timestamp != at {
		t.Errorf("row %+v of %+v", row, b)
	}
	if got := refused.String(); !strings.Contains(got, "refused 1 sample, 1 histogram, 1 exemplar (too_old)") {
		t.Errorf("refused %s", got)
	}
}

func TestLimitsOfTenants(t *testing.T) {
	store := memkv.New(memkv.Options{})
	defer store.Close()
	r := open(t, store, 10)
	a := register(t, r, "a")
	r.SetLimits(&LimitSet{Default: Limits{SeriesMax: 10}, Tenants: map[string]Limits{"a": {SeriesMax: 5}, "late": {SeriesMax: 7, SeriesPerMetricMax: 3}}})
	late := register(t, r, "late")
	never := func(int) bool { return false }
	has := func(n int) func(int) bool { return func(limit int) bool { return n >= limit } }
	cases := []struct {
		id        series.TenantID
		have      int
		metricHas func(int) bool
		want      series.Reason
	}{
		{a, 4, never, ""}, {a, 5, never, series.ReasonTooManySeries}, {series.DefaultTenant, 9, has(9), ""}, {series.DefaultTenant, 10, never, series.ReasonTooManySeries},
		{late, 6, has(2), ""}, {late, 6, has(3), series.ReasonTooManyOfMetric}, {late, 7, has(3), series.ReasonTooManySeries}, {99, 1e9, has(1e9), ""},
	}
	for _, c := range cases {
		if got := r.Admit(c.id, c.have, c.metricHas); got != c.want {
			t.Errorf("tenant %d with %d series: %q, want %q", c.id, c.have, got, c.want)
		}
	}
	if r.LimitsOf("late").SeriesMax != 7 || r.LimitsOf("unheard of").SeriesMax != 10 {
		t.Error("limits by name")
	}
	r.SetLimits(nil)
	if got := r.Admit(a, 1e9, has(1e9)); got != "" {
		t.Errorf("after the limits were lifted: %q", got)
	}
}

func TestTheLabelThatExplodesIsNamed(t *testing.T) {
	store := memkv.New(memkv.Options{})
	defer store.Close()
	var log strings.Builder
	now := day
	r, err := Open(t.Context(), store, Options{Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r.SetLimits(&LimitSet{Default: Limits{SeriesMax: 3}})
	refuse := func(n int, name string) string {
		for i := range n {
			ls := series.AppendLabels(nil, labels.FromStrings("__name__", "m", "job", "api", "method", fmt.Sprint(i%7), name, fmt.Sprint("value-", i)))
			r.Refused(series.DefaultTenant, ls)
		}
		return r.Describe(series.DefaultTenant, series.ReasonTooManySeries)
	}
	text := refuse(500, "user_id")
	var about int
	at := strings.Index(text, "about ")
	if _, err := fmt.Sscanf(text[at:], "about %d", &about); err != nil || about < 430 || about > 570 ||
		!strings.Contains(text, `tenant anonymous has 3 series in memory, which is its limit (active-series); among the series refused lately label "user_id" has most values`) {
		t.Errorf("got %q", text)
	}
	if got := strings.Count(log.String(), `msg="series refused" tenant=anonymous reason=too_many_series label=user_id`); got != 1 {
		t.Errorf("%d lines in the log:\n%s", got, log.String())
	}
	now = now.Add(refusedFor + time.Second)
	if text := refuse(20, "path"); !strings.Contains(text, `label "path"`) {
		t.Errorf("later: %q", text)
	}
	if text := refuse(100_000, "path"); !strings.Contains(text, `label "path"`) { // more than the set can tell apart
		t.Errorf("many: %q", text)
	}
	for i := range 200 {
		refuse(1, fmt.Sprint("label_", i))
	}
	d, _ := r.Find(Default)
	if n := len(d.refused.values); n > refusedLabelsMax {
		t.Errorf("%d labels are remembered", n)
	}
}
