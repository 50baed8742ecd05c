package reference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/varve-db/varve/ingest/otlp"
	"github.com/varve-db/varve/series"
)

// recorder is a storage that writes down what it is given.
type recorder struct {
	lines    []string
	metadata []string
}

func (r *recorder) Append(_ storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, _ *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	if o.Metadata.Type == "gauge" {
		st = 0
	}
	switch {
	case h != nil && value.IsStaleNaN(h.Sum):
		r.lines = append(r.lines, histogramText(ls.String(), t, st, "stale"))
	case h != nil && h.Validate() != nil: // its storage refuses it
		return 0, nil
	case h != nil:
		r.lines = append(r.lines, histogramText(ls.String(), t, st, fmt.Sprintf("%+v", *h)))
	default:
		r.lines = append(r.lines, sampleText(ls.String(), t, st, v))
	}
	for _, e := range o.Exemplars {
		at := e.Ts
		if at == 0 {
			at = t
		}
		r.lines = append(r.lines, exemplarText(ls.String(), e.Labels.WithoutEmpty().String(), at, e.Value))
	}
	m := metadataText(series.Metadata{Metric: o.MetricFamilyName, Type: o.Metadata.Type, Unit: o.Metadata.Unit, Help: o.Metadata.Help})
	if !slices.Contains(r.metadata, m) {
		r.metadata = append(r.metadata, m)
	}
	return 0, nil
}

func (*recorder) Commit() error   { return nil }
func (*recorder) Rollback() error { return nil }

// prometheus returns what Prometheus makes of a request.
func prometheus(m pmetric.Metrics, o otlp.Options) []string {
	strategy := o.Strategy
	if strategy == "" {
		strategy = otlptranslator.UnderscoreEscapingWithSuffixes
	}
	var r recorder
	// An error names what is left out, which the lines show too.
	_, _ = prometheusremotewrite.NewPrometheusConverter(&r).FromMetrics(context.Background(), m, prometheusremotewrite.Settings{
		AddMetricSuffixes: strategy.ShouldAddSuffixes(), AllowUTF8: !strategy.ShouldEscape(),
		PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(config.OTLPConfig{
			PromoteAllResourceAttributes: o.PromoteAll, PromoteResourceAttributes: o.Promote, IgnoreResourceAttributes: o.Ignore,
		}),
		KeepIdentifyingResourceAttributes: o.KeepIdentifying, ConvertHistogramsToNHCB: o.CustomBuckets,
		PromoteScopeMetadata: o.ScopeLabels, EnableTypeAndUnitLabels: o.TypeAndUnitLabels, DisableTargetInfo: o.NoTargetInfo,
		LabelNameUnderscoreSanitization: true, LabelNamePreserveMultipleUnderscores: true,
	})
	return inOrder(append(r.lines, r.metadata...))
}

// withoutRefusals returns what is stored.
func withoutRefusals(lines []string) []string {
	return inOrder(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "refused ") }))
}

// inOrder returns lines sorted, each once.
func inOrder(lines []string) []string {
	slices.Sort(lines)
	return slices.Compact(lines)
}

// settings are the ways in which requests are compared.
var settings = map[string]otlp.Options{
	"defaults":         {},
	"utf8":             {Strategy: otlptranslator.NoUTF8EscapingWithSuffixes, Promote: []string{"host.name", "gone"}},
	"without suffixes": {Strategy: otlptranslator.UnderscoreEscapingWithoutSuffixes, PromoteAll: true, Ignore: []string{"host.name"}},
	"no translation":   {Strategy: otlptranslator.NoTranslation, ScopeLabels: true, KeepIdentifying: true},
	"all labels":       {PromoteAll: true, ScopeLabels: true, TypeAndUnitLabels: true, CustomBuckets: true},
	"no target":        {NoTargetInfo: true, TypeAndUnitLabels: true, Strategy: otlptranslator.NoTranslation},
}

func TestAsPrometheus(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	for name, o := range settings {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			d := otlp.NewDecoder(o)
			points := 0
			for range 100 {
				m := randomMetrics(r)
				request := pmetricotlp.NewExportRequestFromMetrics(m)
				body, err := request.MarshalProto()
				if err != nil {
					t.Fatal(err)
				}
				inJSON, err := request.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				want := prometheus(m, o)
				for kind, decode := range map[string]func(*series.Batch) error{
					"protobuf": func(b *series.Batch) error { return d.Decode(b, body) },
					"JSON":     func(b *series.Batch) error { return d.DecodeJSON(b, inJSON) },
				} {
					var b series.Batch
					if err := decode(&b); err != nil {
						t.Fatal(err)
					}
					got := dump(&b)
					points += len(got)
					if got = withoutRefusals(got); !slices.Equal(got, want) {
						t.Fatalf("%s: %s", kind, differences(got, want))
					}
				}
			}
			if points < 1000 {
				t.Errorf("only %d lines were compared", points)
			}
		})
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomMetrics makes a request in which everything occurs that Prometheus takes.
func randomMetrics(r *rand.Rand) pmetric.Metrics {
	m := pmetric.NewMetrics()
	for range 1 + r.IntN(2) {
		rm := m.ResourceMetrics().AppendEmpty()
		randomAttributes(r, rm.Resource().Attributes(), "service.name", "service.namespace", "service.instance.id", "host.name", "os type", "job", "a.b", "a_b")
		for range 1 + r.IntN(2) {
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.SetSchemaUrl(pick(r, "", "https://schema"))
			sm.Scope().SetName(pick(r, "", "lib"))
			sm.Scope().SetVersion(pick(r, "", "v1"))
			randomAttributes(r, sm.Scope().Attributes(), "x.y", "a.b")
			for range 1 + r.IntN(4) {
				randomMetric(r, sm.Metrics().AppendEmpty())
			}
		}
	}
	return m
}

func randomAttributes(r *rand.Rand, to pcommon.Map, keys ...string) {
	for _, i := range r.Perm(len(keys)) {
		switch r.IntN(9) {
		case 0:
			to.PutInt(keys[i], r.Int64()-r.Int64())
		case 1:
			to.PutDouble(keys[i], pick(r, 0.5, 1e-9, 1e30, -3))
		case 2:
			to.PutBool(keys[i], r.IntN(2) == 0)
		case 3:
			list := to.PutEmptySlice(keys[i])
			list.AppendEmpty().SetStr("a<b")
			list.AppendEmpty().SetInt(3)
			list.AppendEmpty().SetEmptyMap().PutDouble("k", 0.25)
		case 4:
			to.PutEmptyBytes(keys[i]).FromRaw([]byte{1, 2, 255})
		case 5, 6, 7:
			to.PutStr(keys[i], pick(r, "v", "", "Größe", "b", strings.Repeat("long ", 20)))
		}
	}
}

func randomMetric(r *rand.Rand, m pmetric.Metric) {
	m.SetName(pick(r, "http.server.duration", "requests_total", "2xx", "größe", "cpu.ratio", "a"))
	m.SetUnit(pick(r, "", "s", "1", "By", "By/s", "{request}", "%", "m/s"))
	m.SetDescription(pick(r, "", "Some help."))
	cumulative := pmetric.AggregationTemporalityCumulative
	attributes := func(to pcommon.Map) {
		randomAttributes(r, to, "code", "a.b", "a_b", "a-b", "job", "le", "__name__", "9x", "_x", "host.name")
	}
	flags := func() pmetric.DataPointFlags {
		return pmetric.DefaultDataPointFlags.WithNoRecordedValue(r.IntN(8) == 0)
	}
	start := pcommon.Timestamp(pick(r, 0, uint64(1_700_000_000_000_000_000)))
	at := pcommon.Timestamp(1_700_000_100_000_000_000 + r.Uint64N(600_000_000_000))
	switch r.IntN(5) {
	case 0:
		randomNumbers(r, m.SetEmptyGauge().DataPoints(), start, at, flags, attributes)
	case 1:
		s := m.SetEmptySum()
		s.SetIsMonotonic(r.IntN(2) == 0)
		s.SetAggregationTemporality(pick(r, cumulative, cumulative, pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityUnspecified))
		randomNumbers(r, s.DataPoints(), start, at, flags, attributes)
	case 2:
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(cumulative)
		for range 1 + r.IntN(2) {
			p := h.DataPoints().AppendEmpty()
			p.SetFlags(flags())
			p.SetStartTimestamp(start)
			p.SetTimestamp(at)
			attributes(p.Attributes())
			randomExplicit(r, p)
		}
	case 3:
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(cumulative)
		p := h.DataPoints().AppendEmpty()
		p.SetFlags(flags())
		p.SetStartTimestamp(start)
		p.SetTimestamp(at)
		attributes(p.Attributes())
		randomExponential(r, p)
	case 4:
		p := m.SetEmptySummary().DataPoints().AppendEmpty()
		p.SetFlags(flags())
		p.SetStartTimestamp(start)
		p.SetTimestamp(at)
		p.SetCount(r.Uint64N(1000))
		p.SetSum(r.Float64())
		attributes(p.Attributes())
		for _, q := range []float64{0, 0.5, 0.99, 1}[:r.IntN(5)] {
			v := p.QuantileValues().AppendEmpty()
			v.SetQuantile(q)
			v.SetValue(r.Float64())
		}
	}
}

func randomNumbers(r *rand.Rand, to pmetric.NumberDataPointSlice, start, at pcommon.Timestamp, flags func() pmetric.DataPointFlags, attributes func(pcommon.Map)) {
	for range 1 + r.IntN(3) {
		p := to.AppendEmpty()
		p.SetStartTimestamp(start)
		p.SetTimestamp(at + pcommon.Timestamp(r.IntN(1e9)))
		p.SetFlags(flags())
		attributes(p.Attributes())
		if r.IntN(2) == 0 {
			p.SetIntValue(r.Int64() - r.Int64())
		} else {
			p.SetDoubleValue(r.NormFloat64())
		}
		randomExemplars(r, p.Exemplars(), r.Float64())
	}
}

func randomExemplars(r *rand.Rand, to pmetric.ExemplarSlice, values ...float64) {
	for _, v := range values {
		if r.IntN(2) == 0 {
			continue
		}
		e := to.AppendEmpty()
		e.SetDoubleValue(v)
		e.SetTimestamp(pcommon.Timestamp(r.Uint64N(2) * 1_700_000_050_000_000_000))
		if r.IntN(2) == 0 {
			e.SetTraceID(pcommon.TraceID{1, 2, 3, byte(r.IntN(3))})
			e.SetSpanID(pcommon.SpanID{0, 9})
		}
		randomAttributes(r, e.FilteredAttributes(), "user", "trace_id", "page")
	}
}

func randomExplicit(r *rand.Rand, p pmetric.HistogramDataPoint) {
	bounds := []float64{0.005, 0.5, 1, 25, 1e6}[:r.IntN(6)]
	p.ExplicitBounds().FromRaw(bounds)
	total := uint64(0)
	if r.IntN(6) > 0 {
		for range len(bounds) + 1 {
			n := r.Uint64N(4)
			total += n
			p.BucketCounts().Append(n)
		}
	}
	p.SetCount(total)
	if r.IntN(4) > 0 {
		p.SetSum(r.Float64() * float64(total))
	}
	randomExemplars(r, p.Exemplars(), 0.001, 0.7, 30, 2e6)
}

func randomExponential(r *rand.Rand, p pmetric.ExponentialHistogramDataPoint) {
	p.SetScale(pick[int32](r, -5, -4, 0, 3, 8, 9, 12, 20))
	p.SetZeroCount(r.Uint64N(3))
	total := p.ZeroCount()
	for _, side := range []pmetric.ExponentialHistogramDataPointBuckets{p.Positive(), p.Negative()} {
		side.SetOffset(pick[int32](r, -1000, -3, -1, 0, 1, 77))
		for range r.IntN(40) {
			n := pick[uint64](r, 0, 0, 0, 1, 5)
			total += n
			side.BucketCounts().Append(n)
		}
	}
	p.SetCount(total)
	p.SetSum(r.NormFloat64())
	randomExemplars(r, p.Exemplars(), 0.5, 2)
}

// differences lists the lines that are only in one of two lists.
func differences(got, want []string) string {
	var s strings.Builder
	for _, l := range got {
		if !slices.Contains(want, l) {
			fmt.Fprintf(&s, "\n+ %s", l)
		}
	}
	for _, l := range want {
		if !slices.Contains(got, l) {
			fmt.Fprintf(&s, "\n- %s", l)
		}
	}
	return s.String()
}
