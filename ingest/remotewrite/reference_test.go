package remotewrite

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/varve-db/varve/series"
)

// The reference decodes with Prometheus's generated types and applies the rules
// in the plainest way. The decoders must agree with it.

var errReference = errors.New("the reference refuses the request")

type reference struct {
	d Decoder // for metadata, whose rules are its own
	b series.Batch
}

func newReference(body []byte) *reference {
	r := &reference{}
	_ = r.d.begin(&r.b, body, series.LabelRules{}, 1<<20)
	return r
}

func (r *reference) v1(body []byte) error {
	var req prompb.WriteRequest
	if err := req.Unmarshal(body); err != nil {
		return err
	}
	if len(req.Timeseries) == 0 && len(req.Metadata) == 0 && len(body) > 0 {
		return errReference
	}
	for _, ts := range req.Timeseries {
		c := contents{len(ts.Samples), len(ts.Histograms), len(ts.Exemplars)}
		if c.none() {
			continue
		}
		if !r.row(labelsV1(ts.Labels), c) {
			continue
		}
		for _, s := range ts.Samples {
			r.b.AddSample(s.Timestamp, 0, s.Value)
		}
		for _, h := range ts.Histograms {
			hint := hintOf(int32(h.ResetHint))
			if h.IsFloatHistogram() {
				r.histogram(series.Histogram{Timestamp: h.Timestamp, Float: h.ToFloatHistogram()}, hint)
			} else {
				r.histogram(series.Histogram{Timestamp: h.Timestamp, Int: h.ToIntHistogram()}, hint)
			}
		}
		for _, x := range ts.Exemplars {
			r.exemplar(labelsV1(x.Labels), x.Timestamp, x.Value)
		}
	}
	for _, m := range req.Metadata {
		if m.Type != 0 || m.Help != "" || m.Unit != "" {
			_ = r.d.addMetadata([]byte(m.MetricFamilyName), metricType(int32(m.Type)), []byte(m.Help), []byte(m.Unit))
		}
	}
	return nil
}

func labelsV1(list []prompb.Label) (pairs []string) {
	for _, l := range list {
		pairs = append(pairs, l.Name, l.Value)
	}
	return pairs
}

func (r *reference) v2(body []byte) error {
	var req writev2.Request
	if err := req.Unmarshal(body); err != nil {
		return err
	}
	switch {
	case len(req.Symbols) > 0 && req.Symbols[0] != "", len(req.Symbols) == 0 && len(body) > 0:
		return errReference
	}
	for _, ts := range req.Timeseries {
		pairs, ok := pairsOf(ts.LabelsRefs, req.Symbols)
		if !ok || int(ts.Metadata.HelpRef) >= len(req.Symbols) || int(ts.Metadata.UnitRef) >= len(req.Symbols) {
			return errReference
		}
		if err := r.seriesV2(ts, pairs, req.Symbols); err != nil {
			return err
		}
	}
	return nil
}

func (r *reference) seriesV2(ts writev2.TimeSeries, pairs, symbols []string) error {
	for _, x := range ts.Exemplars {
		if _, ok := pairsOf(x.LabelsRefs, symbols); !ok {
			return errReference
		}
	}
	c := contents{len(ts.Samples), len(ts.Histograms), len(ts.Exemplars)}
	if c.none() {
		m := ts.Metadata
		reason := series.ReasonNoSamples
		if m.Type != 0 || m.HelpRef != 0 || m.UnitRef != 0 {
			reason = series.ReasonNoMetricName
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == "__name__" && ts.LabelsRefs[i+1] != 0 {
					return nil
				}
			}
		}
		r.b.Refused.Add(reason, 0, 0, 0, func() (string, string) { return "", "" })
		return nil
	}
	if !r.row(pairs, c) {
		return nil
	}
	for _, s := range ts.Samples {
		r.b.AddSample(s.Timestamp, s.StartTimestamp, s.Value)
	}
	for _, h := range ts.Histograms {
		hint := hintOf(int32(h.ResetHint))
		if h.IsFloatHistogram() {
			r.histogram(series.Histogram{Timestamp: h.Timestamp, Start: h.StartTimestamp, Float: h.ToFloatHistogram()}, hint)
		} else {
			r.histogram(series.Histogram{Timestamp: h.Timestamp, Start: h.StartTimestamp, Int: h.ToIntHistogram()}, hint)
		}
	}
	for _, x := range ts.Exemplars {
		list, _ := pairsOf(x.LabelsRefs, symbols)
		r.exemplar(list, x.Timestamp, x.Value)
	}
	return nil
}

func pairsOf(refs []uint32, symbols []string) (pairs []string, ok bool) {
	for _, ref := range refs {
		if int(ref) >= len(symbols) {
			return nil, false
		}
		pairs = append(pairs, symbols[ref])
	}
	return pairs, len(refs)%2 == 0
}

func (r *reference) row(pairs []string, c contents) bool {
	r.b.BeginLabels()
	for i := 0; i < len(pairs); i += 2 {
		r.b.AddLabel([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	reason, _ := r.b.BeginRow(series.LabelRules{})
	if reason != "" {
		r.b.Refused.Add(reason, c.samples, c.histograms, c.exemplars, func() (string, string) { return "", "" })
	}
	return reason == ""
}

func (r *reference) exemplar(pairs []string, t int64, v float64) {
	r.b.BeginLabels()
	for i := 0; i < len(pairs); i += 2 {
		r.b.AddLabel([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	if reason, _ := r.b.AddExemplar(t, v, series.LabelRules{}); reason != "" {
		r.b.Refused.Add(reason, 0, 0, 1, func() (string, string) { return "", "" })
	}
}

func hintOf(n int32) histogram.CounterResetHint {
	if n < 0 || n > 3 {
		return histogram.UnknownCounterReset
	}
	return histogram.CounterResetHint(n)
}

func (r *reference) histogram(h series.Histogram, hint histogram.CounterResetHint) {
	var err error
	if h.Float != nil {
		h.Float.CounterResetHint = hint
		err = settleFloat(h.Float)
	} else {
		h.Int.CounterResetHint = hint
		err = settleInt(h.Int)
	}
	if err != nil {
		r.b.Refused.Add(series.ReasonInvalidHistogram, 0, 1, 0, func() (string, string) { return "", "" })
		return
	}
	r.b.AddHistogram(h)
}

// account writes what was refused, by reason and without the words.
func account(r series.Refusals) string {
	counts := map[series.Reason][3]int{}
	for _, e := range r.All() {
		if n := [3]int{e.Samples, e.Histograms, e.Exemplars}; n != [3]int{} { // else only metadata, or a series without samples
			counts[e.Reason] = n
		}
	}
	return fmt.Sprint(counts) // in order of the keys
}

// rowsText dumps the rows alone.
func rowsText(b series.Batch) string {
	b.Metadata, b.Refused = nil, series.Refusals{}
	return dump(&b)
}
