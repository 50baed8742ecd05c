package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// point is a sample of an answer.
type point struct {
	seconds float64
	value   float64
}

// UnmarshalJSON reads [1700000000.123,"1.5"].
func (p *point) UnmarshalJSON(text []byte) error {
	moment, value, found := bytes.Cut(bytes.Trim(text, "[] \n"), []byte(","))
	if !found {
		return fmt.Errorf("read point %q: no comma", text)
	}
	var err error
	if p.seconds, err = strconv.ParseFloat(string(bytes.TrimSpace(moment)), 64); err != nil {
		return fmt.Errorf("read point %q: %w", text, err)
	}
	if p.value, err = strconv.ParseFloat(string(bytes.Trim(value, "\" ")), 64); err != nil {
		return fmt.Errorf("read point %q: %w", text, err)
	}
	return nil
}

// answer is a decoded reply, by series, or a list of strings without points.
type answer struct {
	points map[string][]point
	names  int // series of the reply, where points are not kept by series
}

func (a answer) series() int { return max(len(a.points), a.names) }

// readAnswer decodes a reply of either kind. With ties, points are ordered by
// time and value and their series forgotten.
func readAnswer(body []byte, ties bool) (answer, error) {
	var reply struct{ Data json.RawMessage }
	if err := json.Unmarshal(body, &reply); err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	a := answer{points: map[string][]point{}}
	if bytes.HasPrefix(reply.Data, []byte("[")) {
		var values []string
		if err := json.Unmarshal(reply.Data, &values); err != nil {
			return a, fmt.Errorf("read label values: %w", err)
		}
		for _, v := range values {
			a.points[v] = nil
		}
		return a, nil
	}
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  *point
			Values []point
		}
	}
	if err := json.Unmarshal(reply.Data, &data); err != nil {
		return a, fmt.Errorf("read answer: %w", err)
	}
	for _, r := range data.Result {
		key := ""
		if !ties {
			key = seriesKey(r.Metric)
		}
		if r.Value != nil {
			r.Values = append(r.Values, *r.Value)
		}
		a.points[key] = append(a.points[key], r.Values...)
	}
	if ties {
		a.names = len(data.Result)
		slices.SortFunc(a.points[""], func(x, y point) int {
			return cmp.Or(cmp.Compare(x.seconds, y.seconds), cmp.Compare(x.value, y.value))
		})
	}
	return a, nil
}

// namePart finds the metric name in what seriesKey returns.
var namePart = regexp.MustCompile(`^(.*,)?__name__="[a-zA-Z0-9_:]*",`)

// withoutNames returns a with metric names left out, or a itself where they
// tell series apart. VictoriaMetrics keeps them where PromQL does not.
func (a answer) withoutNames() answer {
	bare := answer{points: map[string][]point{}, names: a.names}
	for key, points := range a.points {
		bare.points[namePart.ReplaceAllString(key, "$1")] = points
	}
	if len(bare.points) < len(a.points) {
		return a
	}
	return bare
}

func seriesKey(metric map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(metric)) {
		fmt.Fprintf(&b, "%s=%q,", name, metric[name])
	}
	return b.String()
}

// comparison is how an answer differs from the one it was compared with.
type comparison struct {
	With    string  `json:"with,omitempty"`
	Missing int     `json:"missing_series"`
	Extra   int     `json:"extra_series"`
	Points  int     `json:"points"` // of the series in both
	Differ  int     `json:"points_that_differ"`
	Worst   float64 `json:"worst_relative_difference"`
}

func (c comparison) equal() bool { return c.Missing+c.Extra+c.Differ == 0 }

func (c comparison) String() string {
	switch {
	case c.With == "":
		return "-"
	case c.equal():
		return "same"
	case c.Missing+c.Extra > 0:
		return fmt.Sprintf("%d series missing, %d more", c.Missing, c.Extra)
	}
	return fmt.Sprintf("%d of %d points differ, by up to %.2g", c.Differ, c.Points, c.Worst)
}

// tolerance is the relative difference that summing in another order may make.
const tolerance = 1e-9

func compare(got, want answer) comparison {
	c := comparison{Extra: max(0, got.names-want.names), Missing: max(0, want.names-got.names)}
	for key, points := range want.points {
		other, ok := got.points[key]
		if !ok {
			c.Missing++
			continue
		}
		c.points(other, points)
	}
	for key := range got.points {
		if _, ok := want.points[key]; !ok {
			c.Extra++
		}
	}
	return c
}

// points compares two series, in the order of time.
func (c *comparison) points(got, want []point) {
	c.Points += max(len(got), len(want))
	for len(got) > 0 && len(want) > 0 {
		switch x, y := got[0], want[0]; {
		case x.seconds < y.seconds:
			c.Differ++
			got = got[1:]
		case x.seconds > y.seconds:
			c.Differ++
			want = want[1:]
		default:
			if d := difference(x.value, y.value); d > tolerance {
				c.Differ++
				c.Worst = max(c.Worst, d)
			}
			got, want = got[1:], want[1:]
		}
	}
	c.Differ += len(got) + len(want)
}

// difference is relative to the larger value; 2 where only one is a number.
func difference(x, y float64) float64 {
	if x == y || math.IsNaN(x) && math.IsNaN(y) {
		return 0
	}
	d := math.Abs(x-y) / max(math.Abs(x), math.Abs(y))
	if math.IsNaN(d) || math.IsInf(d, 0) {
		return 2
	}
	return d
}

// compareAll compares every answer with Prometheus's.
func compareAll(servers []*running, results []asked, answers []answer) {
	reference := slices.IndexFunc(servers, func(s *running) bool { return s.name == "prometheus" })
	if reference < 0 || results[reference].Error != "" {
		return
	}
	for i := range results {
		if i != reference && results[i].Error == "" {
			got, want := answers[i], answers[reference]
			if servers[i].name == "victoria-metrics" {
				got, want = got.withoutNames(), want.withoutNames()
			}
			results[i].Answer = compare(got, want)
			results[i].Answer.With = servers[reference].name
		}
	}
}
