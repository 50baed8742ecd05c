//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// result is an answer to a query in a form that two servers can be compared by.
type result struct {
	kind   string
	text   string // of a string
	series []resultSeries

	warnings, infos []string
}

type resultSeries struct {
	labels string
	points []point
}

// point is a value at a time. A float has no buckets.
type point struct {
	ms      int64
	value   float64
	buckets *distribution
}

// distribution is a native histogram.
type distribution struct {
	count, sum float64
	buckets    []bucket
}

type bucket struct {
	boundaries          int
	lower, upper, count float64
}

// resultOf converts what Prometheus's engine answers.
func resultOf(v parser.Value) result {
	r := result{kind: string(v.Type())}
	switch v := v.(type) {
	case promql.Scalar:
		r.series = []resultSeries{{points: []point{{ms: v.T, value: v.V}}}}
	case promql.String:
		r.text = v.V
	case promql.Vector:
		for _, s := range v {
			r.series = append(r.series, resultSeries{labelText(s.Metric), []point{{s.T, s.F, distributionOf(s.H)}}})
		}
	case promql.Matrix:
		for _, s := range v {
			var points []point
			for _, p := range s.Floats {
				points = append(points, point{ms: p.T, value: p.F})
			}
			for _, p := range s.Histograms {
				points = append(points, point{p.T, 0, distributionOf(p.H)})
			}
			r.series = append(r.series, resultSeries{labelText(s.Metric), points})
		}
	}
	return r
}

func labelText(ls labels.Labels) string {
	text, err := json.Marshal(ls.Map()) // in order of names
	if err != nil {
		panic(err) // a map of strings can be marshalled
	}
	return string(text)
}

func distributionOf(h *histogram.FloatHistogram) *distribution {
	if h == nil {
		return nil
	}
	d := &distribution{count: h.Count, sum: h.Sum}
	for it := h.AllBucketIterator(); it.Next(); {
		b := it.At()
		if b.Count == 0 {
			continue
		}
		boundaries := 2
		switch {
		case b.LowerInclusive && b.UpperInclusive:
			boundaries = 3
		case b.LowerInclusive:
			boundaries = 1
		case b.UpperInclusive:
			boundaries = 0
		}
		d.buckets = append(d.buckets, bucket{boundaries, b.Lower, b.Upper, b.Count})
	}
	return d
}

// The types below read the API's answers.

type jsonSeries struct {
	Metric     map[string]string   `json:"metric"`
	Value      []json.RawMessage   `json:"value"`
	Histogram  []json.RawMessage   `json:"histogram"`
	Values     [][]json.RawMessage `json:"values"`
	Histograms [][]json.RawMessage `json:"histograms"`
}

type jsonDistribution struct {
	Count   string              `json:"count"`
	Sum     string              `json:"sum"`
	Buckets [][]json.RawMessage `json:"buckets"`
}

// parseResult reads the data of the API's answer to a query.
func parseResult(data []byte) (result, error) {
	var d struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return result{}, err
	}
	r := result{kind: d.ResultType}
	if d.ResultType == "scalar" || d.ResultType == "string" {
		var pair []json.RawMessage
		if err := json.Unmarshal(d.Result, &pair); err != nil {
			return r, err
		}
		if d.ResultType == "string" {
			return r, json.Unmarshal(pair[1], &r.text)
		}
		p, err := parsePoint(pair, false)
		r.series = []resultSeries{{points: []point{p}}}
		return r, err
	}
	var all []jsonSeries
	if err := json.Unmarshal(d.Result, &all); err != nil {
		return r, err
	}
	for _, s := range all {
		parsed, err := parseSeries(s)
		if err != nil {
			return r, err
		}
		r.series = append(r.series, parsed)
	}
	return r, nil
}

func parseSeries(s jsonSeries) (resultSeries, error) {
	out := resultSeries{labels: labelText(labels.FromMap(s.Metric))}
	if s.Value != nil {
		s.Values = [][]json.RawMessage{s.Value}
	}
	if s.Histogram != nil {
		s.Histograms = [][]json.RawMessage{s.Histogram}
	}
	for i, pair := range append(s.Values, s.Histograms...) {
		p, err := parsePoint(pair, i >= len(s.Values))
		if err != nil {
			return out, err
		}
		out.points = append(out.points, p)
	}
	return out, nil
}

func parsePoint(pair []json.RawMessage, isHistogram bool) (point, error) {
	if len(pair) != 2 {
		return point{}, fmt.Errorf("a point of %d elements", len(pair))
	}
	seconds, err := strconv.ParseFloat(string(pair[0]), 64)
	if err != nil {
		return point{}, err
	}
	p := point{ms: int64(math.Round(seconds * 1000))}
	if !isHistogram {
		p.value, err = parseQuoted(pair[1])
		return p, err
	}
	p.buckets, err = parseDistribution(pair[1])
	return p, err
}

func parseDistribution(data []byte) (*distribution, error) {
	var j jsonDistribution
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, err
	}
	d := &distribution{}
	var err error
	if d.count, err = strconv.ParseFloat(j.Count, 64); err != nil {
		return nil, err
	}
	if d.sum, err = strconv.ParseFloat(j.Sum, 64); err != nil {
		return nil, err
	}
	for _, four := range j.Buckets {
		if len(four) != 4 {
			return nil, fmt.Errorf("a bucket of %d elements", len(four))
		}
		var b bucket
		if err := json.Unmarshal(four[0], &b.boundaries); err != nil {
			return nil, err
		}
		for i, to := range []*float64{&b.lower, &b.upper, &b.count} {
			if *to, err = parseQuoted(four[i+1]); err != nil {
				return nil, err
			}
		}
		d.buckets = append(d.buckets, b)
	}
	return d, nil
}

func parseQuoted(data []byte) (float64, error) {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

// byLabels puts series whose order means nothing into one.
func (r result) byLabels() result {
	r.series = slices.Clone(r.series)
	slices.SortStableFunc(r.series, func(a, b resultSeries) int { return cmp.Compare(a.labels, b.labels) })
	return r
}

// differs says where got is not want, "" if nowhere. Floats are the same if
// their bits are, or if they are closer to each other than tolerance allows.
func (want result) differs(got result, tolerance float64) string {
	switch {
	case want.kind != got.kind:
		return fmt.Sprintf("it is a %s, not a %s", got.kind, want.kind)
	case want.text != got.text:
		return fmt.Sprintf("it is %q, not %q", got.text, want.text)
	}
	if w, g := want.names(), got.names(); !slices.Equal(w, g) {
		return fmt.Sprintf("it has the %d series\n    %s\n  not the %d\n    %s", len(g), cut(g), len(w), cut(w))
	}
	for i, w := range want.series {
		g := got.series[i]
		if len(w.points) != len(g.points) {
			return fmt.Sprintf("%s has %d points, not %d", w.labels, len(g.points), len(w.points))
		}
		for j := range w.points {
			if !same(w.points[j], g.points[j], tolerance) {
				return fmt.Sprintf("%s is %s, not %s", w.labels, g.points[j], w.points[j])
			}
		}
	}
	return ""
}

func (r result) names() []string {
	var names []string
	for _, s := range r.series {
		names = append(names, s.labels)
	}
	return names
}

func cut(names []string) string {
	const shown = 8
	if len(names) > shown {
		names = append(slices.Clone(names[:shown]), "...")
	}
	return strings.Join(names, "\n    ")
}

func (p point) String() string {
	if p.buckets == nil {
		return fmt.Sprintf("%v (%x) at %d", p.value, math.Float64bits(p.value), p.ms)
	}
	return fmt.Sprintf("%+v at %d", *p.buckets, p.ms)
}

func same(a, b point, tolerance float64) bool {
	if a.ms != b.ms || (a.buckets == nil) != (b.buckets == nil) {
		return false
	}
	if a.buckets == nil {
		return alike(a.value, b.value, tolerance)
	}
	return alike(a.buckets.count, b.buckets.count, tolerance) && alike(a.buckets.sum, b.buckets.sum, tolerance) &&
		slices.EqualFunc(a.buckets.buckets, b.buckets.buckets, func(x, y bucket) bool {
			return x.boundaries == y.boundaries && alike(x.lower, y.lower, 0) && alike(x.upper, y.upper, 0) && alike(x.count, y.count, tolerance)
		})
}

// alike compares floats. All NaN are the same: JSON does not tell them apart.
func alike(a, b, tolerance float64) bool {
	switch {
	case math.Float64bits(a) == math.Float64bits(b), math.IsNaN(a) && math.IsNaN(b):
		return true
	case tolerance == 0:
		return false
	}
	return math.Abs(a-b) <= tolerance*max(math.Abs(a), math.Abs(b))
}
