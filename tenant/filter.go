package tenant

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/varve-db/varve/series"
)

// filter takes out of a batch what a tenant's limits forbid.
type filter struct {
	limits   *Limits
	batch    *series.Batch
	now      time.Time
	min, max int64 // times that may be stored
	refused  series.Refusals
}

func (f *filter) run() {
	f.min, f.max = math.MinInt64, math.MaxInt64
	if f.limits.AgeMax > 0 {
		f.min = f.now.Add(-f.limits.AgeMax).UnixMilli()
	}
	if f.limits.AheadMax > 0 {
		f.max = f.now.Add(f.limits.AheadMax).UnixMilli()
	}
	b := f.batch
	kept := 0
	for i := range b.Rows {
		row := &b.Rows[i]
		if reason, detail := f.labels(b.Labels(i)); reason != "" {
			f.refused.Add(reason, row.Samples.Len(), row.Histograms.Len(), row.Exemplars.Len(), f.describe(i, detail))
			continue
		}
		f.times(i, row)
		b.Rows[kept] = *row
		kept++
	}
	b.Rows = b.Rows[:kept]
}

func (f *filter) describe(row int, detail string) func() (string, string) {
	return func() (string, string) { return f.batch.Labels(row).String(), detail }
}

// labels returns why a label set is refused, "" if it is not.
func (f *filter) labels(ls series.Labels) (series.Reason, string) {
	l, n := f.limits, 0
	for rest := ls; len(rest) > 0; n++ {
		name, value, after, ok := rest.CutPair()
		if !ok {
			break
		}
		if l.LabelNameBytesMax > 0 && len(name) > l.LabelNameBytesMax {
			return series.ReasonLabelTooLong, fmt.Sprintf("a label's name has %d bytes, the tenant's limit is %d (label-name-bytes)", len(name), l.LabelNameBytesMax)
		}
		if l.LabelValueBytesMax > 0 && len(value) > l.LabelValueBytesMax {
			return series.ReasonLabelTooLong, fmt.Sprintf("the value of label %s has %d bytes, the tenant's limit is %d (label-value-bytes)",
				strings.ToValidUTF8(string(name), "?"), len(value), l.LabelValueBytesMax)
		}
		rest = after
	}
	if l.LabelsMax > 0 && n > l.LabelsMax {
		return series.ReasonTooManyLabels, fmt.Sprintf("%d labels, the tenant's limit is %d (labels)", n, l.LabelsMax)
	}
	return "", ""
}

// times takes samples out of a row that are too old or too far ahead.
func (f *filter) times(i int, row *series.Row) {
	b := f.batch
	row.Samples.End = row.Samples.Start + f.keep(i, row.Samples, 0, func(at, to int) int64 {
		t := b.Timestamps[at]
		b.Timestamps[to], b.Values[to] = t, b.Values[at]
		if len(b.Starts) > at {
			b.Starts[to] = b.Starts[at]
		}
		return t
	})
	row.Histograms.End = row.Histograms.Start + f.keep(i, row.Histograms, 1, func(at, to int) int64 {
		b.Histograms[to] = b.Histograms[at]
		return b.Histograms[to].Timestamp
	})
	row.Exemplars.End = row.Exemplars.Start + f.keep(i, row.Exemplars, 2, func(at, to int) int64 {
		b.Exemplars[to] = b.Exemplars[at]
		return b.Exemplars[to].Timestamp
	})
}

// keep moves what may stay to the front of a span and returns how much it is. move
// copies one forward and tells its time; kind is its place among samples,
// histograms and exemplars.
func (f *filter) keep(row int, span series.Span, kind int, move func(at, to int) int64) int {
	to := span.Start
	for at := span.Start; at < span.End; at++ {
		t := move(at, to)
		if t >= f.min && t <= f.max {
			to++
			continue
		}
		reason, detail := series.ReasonTooOld, fmt.Sprintf("older than the tenant may write, %s (age)", model.Duration(f.limits.AgeMax))
		if t > f.max {
			reason, detail = series.ReasonTooFarAhead, fmt.Sprintf("further ahead of the clock than the tenant may write, %s (ahead)", model.Duration(f.limits.AheadMax))
		}
		var n [3]int
		n[kind] = 1
		f.refused.Add(reason, n[0], n[1], n[2], f.describe(row, detail))
	}
	return to - span.Start
}
