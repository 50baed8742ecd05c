package reference

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/series"
)

// dump writes everything that b holds as lines, floats by their bits.
func dump(b *series.Batch) []string {
	var lines []string
	for i, row := range b.Rows {
		ls := b.Labels(i).String()
		for j := row.Samples.Start; j < row.Samples.End; j++ {
			lines = append(lines, sampleText(ls, b.Timestamps[j], b.StartOf(j), b.Values[j]))
		}
		for j := row.Histograms.Start; j < row.Histograms.End; j++ {
			h := b.Histograms[j]
			text := ""
			switch {
			case h.Int != nil && value.IsStaleNaN(h.Int.Sum):
				text = "stale"
			case h.Int != nil:
				text = fmt.Sprintf("%+v", *h.Int)
			default:
				text = fmt.Sprintf("float %+v", *h.Float)
			}
			lines = append(lines, histogramText(ls, h.Timestamp, h.Start, text))
		}
		for j := row.Exemplars.Start; j < row.Exemplars.End; j++ {
			x := b.Exemplars[j]
			lines = append(lines, exemplarText(ls, b.ExemplarLabels(j).String(), x.Timestamp, x.Value))
		}
	}
	slices.Sort(lines)
	for _, m := range b.Metadata {
		lines = append(lines, metadataText(m))
	}
	for _, r := range b.Refused.All() {
		lines = append(lines, fmt.Sprintf("refused %s: %d samples, %d histograms, %d exemplars, first %s: %s",
			r.Reason, r.Samples, r.Histograms, r.Exemplars, r.Series, r.Detail))
	}
	return lines
}

func sampleText(ls string, t, start int64, v float64) string {
	return fmt.Sprintf("%s t=%d start=%d %v/%x", ls, t, start, v, math.Float64bits(v))
}

func histogramText(ls string, t, start int64, text string) string {
	return fmt.Sprintf("%s t=%d start=%d histogram %s", ls, t, start, text)
}

func exemplarText(ls, own string, t int64, v float64) string {
	return fmt.Sprintf("%s exemplar %s t=%d %v", ls, own, t, v)
}

func metadataText(m series.Metadata) string {
	return fmt.Sprintf("metadata %q type=%s unit=%q help=%q", m.Metric, m.Type, m.Unit, m.Help)
}

func text(lines []string) string { return strings.Join(lines, "\n") + "\n" }
