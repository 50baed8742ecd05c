package query

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

const (
	downsampledDays = 14
	// rawFromDay is the first day of which downsampled has samples, and narrowFromDay
	// that of which it has windows of five minutes.
	rawFromDay, narrowFromDay = 7, 3
)

// downsampled is two databases with the same samples: one has windows, and of old
// days nothing else.
type downsampled struct {
	thin, whole *tsdb.DB
	engine      *Engine // keeps results of thin
	plain       *Engine
}

func newDownsampled(t *testing.T) *downsampled {
	d := &downsampled{engine: New(Options{CacheBytes: 8 << 20, CacheCostMin: -1}), plain: New(Options{})}
	for _, db := range []**tsdb.DB{&d.thin, &d.whole} {
		store := memkv.New(memkv.Options{})
		var err error
		*db, err = tsdb.Open(t.Context(), store, tsdb.Options{
			Now: func() time.Time { return time.UnixMilli(thinnedFrom + downsampledDays*day - 6*hour) }, AheadMax: 24 * time.Hour,
			BacklogMax: 100,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := (*db).Close(); err != nil {
				t.Error(err)
			}
		})
		appendThinned(t, *db, downsampledDays, 2)
	}
	if err := d.thin.SetDownsampling([]time.Duration{5 * time.Minute, time.Hour}); err != nil {
		t.Fatal(err)
	}
	d.seal(t)
	d.downsample(t)
	d.dropOld(t)
	return d
}

func (d *downsampled) each(t *testing.T, do func(db *tsdb.DB) error) {
	t.Helper()
	for _, db := range []*tsdb.DB{d.thin, d.whole} {
		if err := do(db); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *downsampled) seal(t *testing.T) {
	t.Helper()
	d.each(t, func(db *tsdb.DB) error {
		_, err := db.Seal(t.Context())
		return err
	})
}

func (d *downsampled) downsample(t *testing.T) {
	t.Helper()
	if _, err := d.thin.Downsample(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// dropOld drops samples, and narrow windows, as retention does.
func (d *downsampled) dropOld(t *testing.T) {
	t.Helper()
	parts, err := d.thin.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	from := map[uint8]int64{0: rawFromDay, 1: narrowFromDay}
	parts = slices.DeleteFunc(parts, func(p tsdb.Partition) bool { return p.Start >= thinnedFrom+from[p.Resolution]*day })
	if err := d.thin.Drop(t.Context(), parts); err != nil {
		t.Fatal(err)
	}
}

// compare asks both databases queries, each twice, so that results are kept.
func (d *downsampled) compare(t *testing.T, when string, queries []string, start, end, step int64) {
	t.Helper()
	thin, whole := Local(d.thin, series.DefaultTenant), Local(d.whole, series.DefaultTenant)
	for _, query := range queries {
		want := askThinned(t, d.plain, whole, query, start, end, step, 0)
		if len(want.infos) > 0 || want.windows > 0 {
			t.Fatalf("%s: %s of samples reads %d windows: %q", when, query, want.windows, want.infos)
		}
		for range 2 {
			got := askThinned(t, d.engine, thin, query, start, end, step, 0)
			if err := agree(got, want, 0); err != nil {
				t.Errorf("%s: %s by %s: %v", when, query, milliseconds(step), err)
			}
			if len(got.infos) == 0 || len(got.warnings) > 0 {
				t.Errorf("%s: %s by %s: infos %q, warnings %q", when, query, milliseconds(step), got.infos, got.warnings)
			}
		}
	}
}

// over returns windowQueries of a range.
func over(span string) (queries []string) {
	for _, query := range windowQueries {
		if strings.Contains(query, "%s") {
			query = fmt.Sprintf(query, span)
		}
		queries = append(queries, query)
	}
	return queries
}

// TestDownsampledAnswersAsRaw has a database make windows of two weeks and drop the
// samples of the first, and compares its answers with those of one that kept them;
// then late samples come, and some are deleted.
func TestDownsampledAnswersAsRaw(t *testing.T) {
	d := newDownsampled(t)
	start, end := thinnedFrom+2*hour, thinnedFrom+downsampledDays*day-7*hour
	d.compare(t, "windows", over("1h"), start, end, hour)
	d.compare(t, "windows", over("6h"), start, end, 3*hour)
	for _, at := range []int64{2*day + 5*hour, 5 * day, 10*day + hour} {
		var ranges []string
		for _, query := range over("1h") {
			if strings.Contains(query, "[1h]") && !strings.Contains(query, "offset") {
				ranges = append(ranges, query)
			}
		}
		d.compare(t, "one step", ranges, thinnedFrom+at, thinnedFrom+at, 0)
	}

	few := []string{`sum_over_time(gauge[1h])`, `count_over_time(late[6h])`, `max_over_time(late[1h])`, `rate({__name__=~".+_total"}[1h])`, `last_over_time({__name__=~".+"}[1h])`}
	compare := func(when string) {
		t.Helper()
		d.compare(t, when, few, start, end, hour)
	}
	d.each(t, func(db *tsdb.DB) error {
		var batch series.Batch
		for _, name := range []string{"late", "gauge"} {
			batch.AddSeries(labels.FromStrings("__name__", name, "i", "late"))
			for _, n := range []int64{0, rawFromDay - 1, rawFromDay, 9} {
				batch.AddSample(thinnedFrom+n*day+23*hour+1, 0, 5)
				batch.AddSample(thinnedFrom+(n+1)*day, 0, 7)
			}
		}
		appendBatch(t, db, &batch)
		return nil
	})
	compare("late samples")
	d.each(t, func(db *tsdb.DB) error { return db.Flush(t.Context()) })
	compare("late samples, flushed")
	d.seal(t)
	compare("late samples, sealed")
	d.downsample(t)
	compare("late samples, as windows")
	d.dropOld(t)
	compare("late samples, dropped")
	d.each(t, func(db *tsdb.DB) error {
		_, err := db.Delete(t.Context(), tsdb.Deletion{
			Tenant: series.DefaultTenant, Min: thinnedFrom + 5*day + hour + 1, Max: thinnedFrom + 8*day + 4*hour,
			Selectors: [][]*labels.Matcher{
				{labels.MustNewMatcher(labels.MatchEqual, "__name__", "gauge")}, {labels.MustNewMatcher(labels.MatchEqual, "i", "b")},
			},
		})
		return err
	})
	compare("deleted")
	d.downsample(t)
	compare("deleted, as windows")
}

// TestDownsampledTellsResolutions looks at what is said of the days, and asks for
// samples alone.
func TestDownsampledTellsResolutions(t *testing.T) {
	d := newDownsampled(t)
	thin, whole := Local(d.thin, series.DefaultTenant), Local(d.whole, series.DefaultTenant)
	const query = `rate(steady_total[1h])`
	end := thinnedFrom + downsampledDays*day - 7*hour
	for _, of := range []struct {
		coarsest plan.Coarsest
		infos    []string
	}{
		{0, []string{"PromQL info: resolution 1h for 2023-12-09..2023-12-22", "PromQL info: resolution raw for 2023-12-22..2023-12-23"}},
		{plan.Coarsest(fiveMinutes), []string{
			"PromQL info: resolution 1h for 2023-12-09..2023-12-12", "PromQL info: resolution 5m for 2023-12-12..2023-12-22",
			"PromQL info: resolution raw for 2023-12-22..2023-12-23",
		}},
	} {
		got := askThinned(t, d.engine, thin, query, thinnedFrom+2*hour, end, hour, of.coarsest)
		if !slices.Equal(got.infos, of.infos) {
			t.Errorf("infos %q, want %q", got.infos, of.infos)
		}
	}
	got := askThinned(t, d.engine, thin, query, thinnedFrom+(rawFromDay+1)*day, end, hour, plan.RawOnly)
	want := askThinned(t, d.plain, whole, query, thinnedFrom+(rawFromDay+1)*day, end, hour, 0)
	if err := agree(got, want, 0); err != nil || got.windows > 0 || len(got.infos) > 0 || len(got.warnings) > 0 {
		t.Errorf("raw: %v, %d windows, infos %q, warnings %q", err, got.windows, got.infos, got.warnings)
	}
}
