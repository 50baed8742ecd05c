package window

import (
	"math/rand/v2"
	"testing"

	"github.com/varve-db/varve/chunks/column"
)

// BenchmarkSteadyCostsLess measures functions on 6 hours of samples, one each 10 s,
// and usual steps, with what is known of them and without.
func BenchmarkSteadyCostsLess(b *testing.B) {
	for _, c := range []struct {
		name       string
		span, step int64
	}{{"rate", 300_000, 60_000}, {"delta", 300_000, 60_000}, {"avg_over_time", 3_600_000, 3_600_000}} {
		for _, known := range []bool{false, true} {
			r := rand.New(rand.NewPCG(1, 2))
			var s Samples
			v := 0.0
			for k := range 2160 {
				v += float64(r.IntN(50))
				s.Times, s.Values = append(s.Times, int64(k)*10_000), append(s.Values, v)
			}
			name := c.name + "/looked at"
			if known {
				name = c.name + "/known"
				s.Every, s.Known = 10_000, column.Facts{Plain: true, Rising: true, Whole: true}
			}
			b.Run(name, func(b *testing.B) {
				var bounds Bounds
				var scratch Scratch
				function, dst := Find(c.name), make([]float64, 21_600_000/c.step+1)
				for b.Loop() {
					bounds.steady = steady{}
					bounds.Set(s, 0, c.step, c.span, len(dst))
					function(dst, s, &bounds, nil, &scratch)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(s.Values)), "ns/sample")
			})
		}
	}
}
