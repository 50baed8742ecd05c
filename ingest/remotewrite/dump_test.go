package remotewrite

import (
	"fmt"
	"math"
	"strings"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/varve-db/varve/series"
)

// dump writes everything that b holds as text, floats by their bits.
func dump(b *series.Batch) string {
	var s strings.Builder
	for i, row := range b.Rows {
		fmt.Fprintf(&s, "series %s\n", b.Labels(i))
		for j := row.Samples.Start; j < row.Samples.End; j++ {
			fmt.Fprintf(&s, "  sample t=%d start=%d value=%s\n", b.Timestamps[j], b.StartOf(j), bits(b.Values[j]))
		}
		for j := row.Histograms.Start; j < row.Histograms.End; j++ {
			h := b.Histograms[j]
			fmt.Fprintf(&s, "  histogram t=%d start=%d %s\n", h.Timestamp, h.Start, histogramText(h))
		}
		for j := row.Exemplars.Start; j < row.Exemplars.End; j++ {
			x := b.Exemplars[j]
			fmt.Fprintf(&s, "  exemplar %s t=%d value=%s\n", b.ExemplarLabels(j), x.Timestamp, bits(x.Value))
		}
	}
	for _, m := range b.Metadata {
		fmt.Fprintf(&s, "metadata %q type=%s unit=%q help=%q\n", m.Metric, m.Type, m.Unit, m.Help)
	}
	for _, r := range b.Refused.All() {
		fmt.Fprintf(&s, "refused %s: %d samples, %d histograms, %d exemplars, first %s: %s\n",
			r.Reason, r.Samples, r.Histograms, r.Exemplars, r.Series, r.Detail)
	}
	return s.String()
}

func bits(v float64) string { return fmt.Sprintf("%v/%x", v, math.Float64bits(v)) }

func histogramText(h series.Histogram) string {
	if f := h.Float; f != nil {
		return fmt.Sprintf("float hint=%d schema=%d threshold=%v zero=%v count=%v sum=%s neg=%s pos=%s custom=%v",
			f.CounterResetHint, f.Schema, f.ZeroThreshold, f.ZeroCount, f.Count, bits(f.Sum),
			side2(f.NegativeSpans, f.NegativeBuckets), side2(f.PositiveSpans, f.PositiveBuckets), f.CustomValues)
	}
	n := h.Int
	return fmt.Sprintf("int hint=%d schema=%d threshold=%v zero=%v count=%v sum=%s neg=%s pos=%s custom=%v",
		n.CounterResetHint, n.Schema, n.ZeroThreshold, n.ZeroCount, n.Count, bits(n.Sum),
		side2(n.NegativeSpans, n.NegativeBuckets), side2(n.PositiveSpans, n.PositiveBuckets), n.CustomValues)
}

func side2[T any](spans []histogram.Span, buckets []T) string {
	return fmt.Sprintf("%v%v", spans, buckets)
}
