package window

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/value"
)

// FuzzFunctions compares every function with Prometheus's on samples made of the
// bytes: two for the distance of times, eight for the value.
func FuzzFunctions(f *testing.F) {
	f.Add([]byte{}, uint16(1), uint32(1), int32(0), .5, .5, false)
	f.Add(fuzzBytes(1, 2, 1, 0, math.Copysign(0, -1), math.NaN()), uint16(500), uint32(3000), int32(-1000), .5, .9, true)
	f.Add(fuzzBytes(0x1p53, 1, 1, -0x1p53, 0x1p-40, .1, .1), uint16(1000), uint32(9000), int32(0), 0., .1, false)
	f.Add(fuzzBytes(math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64, math.Inf(1), 5e-324), uint16(0), uint32(4000), int32(5000), 1., .3, true)
	f.Fuzz(func(t *testing.T, data []byte, step uint16, span uint32, start int32, p, q float64, steady bool) {
		var s Samples
		at := int64(0)
		for ; len(data) >= 10; data = data[10:] {
			at += int64(binary.LittleEndian.Uint16(data)) + 1
			if steady {
				at = int64(len(s.Times)+1) * int64(span%997+1)
			}
			v := math.Float64frombits(binary.LittleEndian.Uint64(data[2:]))
			if value.IsStaleNaN(v) {
				v = math.NaN()
			}
			s.Times, s.Values = append(s.Times, at), append(s.Values, v)
		}
		if steady {
			s.Every, s.First = distance(s.Times)
			s.Known = factsOf(s.Values)
		}
		const steps = 20
		var b Bounds
		var scratch Scratch
		b.Set(s, int64(start), int64(step), int64(span), steps)
		for name := range functions {
			compare(t, name, s, &b, 1000, int64(step)*3, fuzzParams(name, steps, p, q), &scratch)
		}
	})
}

func fuzzBytes(values ...float64) (data []byte) {
	for _, v := range values {
		data = binary.LittleEndian.AppendUint16(data, 999)
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	return data
}

// fuzzParams returns valid parameters that are p or made of it.
func fuzzParams(name string, steps int, p, q float64) [][]float64 {
	least, _ := paramsOf(name)
	if name == "integral" {
		p, least = float64(math.Float64bits(p)%3), 1
	}
	if name == "quantile_over_time" && !(p >= 0 && p <= 1) {
		p = .75
	}
	if name == "double_exponential_smoothing" {
		p, q = fractionOr(p, .3), fractionOr(q, .6)
	}
	var params [][]float64
	for k := range least {
		values := make([]float64, steps)
		for i := range values {
			values[i] = []float64{p, q}[k]
		}
		params = append(params, values)
	}
	return params
}

func fractionOr(v, otherwise float64) float64 {
	if v > 0 && v < 1 {
		return v
	}
	return otherwise
}
