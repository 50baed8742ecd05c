package window

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/promql"
)

// benchSeries is 6 hours of samples, one each 15 s, and a step a minute.
func benchSeries(shape string, span int64) (Samples, *Bounds) {
	r := rand.New(rand.NewPCG(1, 2))
	s := Samples{Times: make([]int64, 1440), Values: make([]float64, 1440)}
	v := 0.0
	for k := range s.Times {
		s.Times[k] = 1_700_000_000_000 + int64(k)*15000
		if shape == "plain counter" {
			v += float64(r.IntN(100))
		} else {
			v = shapes[shape](r, k, v)
		}
		s.Values[k] = v
	}
	b := &Bounds{}
	b.Set(s, s.Times[0], 60000, span, 361)
	return s, b
}

// BenchmarkStepsFasterThanWindows measures each function on a series of 1,440
// samples and 361 steps, against Prometheus's function called for each window. ns/look is
// per sample of each window.
func BenchmarkStepsFasterThanWindows(b *testing.B) {
	var names []string
	for name := range functions {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, shape := range []string{"plain counter", "gauge"} {
			for _, span := range []int64{300000, 3600000} {
				b.Run(fmt.Sprintf("%s/%s/%ds", name, shape, span/1000), func(b *testing.B) { benchFunction(b, name, shape, span) })
			}
		}
	}
}

func benchFunction(b *testing.B, name, shape string, span int64) {
	s, bounds := benchSeries(shape, span)
	params := [][]float64{}
	least, _ := paramsOf(name)
	for range least {
		p := make([]float64, bounds.Steps())
		for i := range p {
			p[i] = .9
		}
		params = append(params, p)
	}
	dst, steps := make([]float64, bounds.Steps()), float64(bounds.Steps())
	b.Run("steps", func(b *testing.B) {
		var scratch Scratch
		for b.Loop() {
			Find(name)(dst, s, bounds, params, &scratch)
		}
		perCall := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
		b.ReportMetric(perCall/steps, "ns/step")
		b.ReportMetric(perCall/float64(bounds.Looked), "ns/look")
	})
	b.Run("windows", func(b *testing.B) {
		ref := newReference(name, span, least)
		points := make([]promql.FPoint, len(s.Times))
		for k, ts := range s.Times {
			points[k] = promql.FPoint{T: ts, F: s.Values[k]}
		}
		for b.Loop() {
			for i := range dst {
				dst[i] = ref.at(points[bounds.From[i]:bounds.To[i]], bounds.Ref(i), 0, params, i)
			}
		}
		perCall := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
		b.ReportMetric(perCall/steps, "ns/step")
		b.ReportMetric(perCall/float64(bounds.Looked), "ns/look")
	})
}
