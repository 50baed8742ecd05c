package api

import (
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// plainValue formats a value as the API's documentation says, without a fast path.
func plainValue(v float64) string {
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return `"` + strconv.FormatFloat(v, format, -1, 64) + `"`
}

func TestValues(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", -1: "-1", 1.5: "1.5", 0.001: "0.001", 0.0001: "0.0001", 1e-6: "0.000001", 9.9e-7: "9.9e-07", -0.25: "-0.25",
		1e15: "1000000000000000", 1e20: "100000000000000000000", 1e21: "1e+21", 123456.789: "123456.789", 0.30000000000000004: "0.30000000000000004",
		math.MaxFloat64: "1.7976931348623157e+308", 5e-324: "5e-324", 1 << 53: "9007199254740992", 1<<53 - 1: "9007199254740991",
		math.Inf(1): "+Inf", math.Inf(-1): "-Inf", 999999999999.999: "999999999999.999", 0.999999: "0.999999", 1.2345678e-67: "1.2345678e-67",
		2251799813685249.5: "2251799813685249.5", 0.7999999999999999: "0.7999999999999999", 1.15: "1.15", 0.29: "0.29", 1e-5: "0.00001", 100.25: "100.25",
	} {
		if got := string(appendValue(nil, v)); got != `"`+want+`"` {
			t.Errorf("%g is %s, want %s", v, got, want)
		}
	}
	if got := string(appendValue(nil, math.NaN())); got != `"NaN"` {
		t.Error(got)
	}
	if got := string(appendValue(nil, math.Copysign(0, -1))); got != `"-0"` {
		t.Error(got)
	}
}

// checkValue compares v and its neighbours, and their negatives, with strconv.
func checkValue(t testing.TB, v float64) {
	t.Helper()
	for _, near := range []float64{v, math.Nextafter(v, math.Inf(1)), math.Nextafter(v, math.Inf(-1))} {
		for _, v := range []float64{near, -near} {
			if got, want := string(appendValue([]byte("x"), v)), "x"+plainValue(v); got != want {
				t.Fatalf("bits %x are %s, want %s", math.Float64bits(v), got, want)
			}
		}
	}
}

func TestValuesAreThoseOfStrconv(t *testing.T) {
	for exponent := -30; exponent < 40; exponent++ {
		power := math.Pow(10, float64(exponent))
		for i := range 200 {
			checkValue(t, float64(i)*power)
			checkValue(t, float64(i)/power)
			checkValue(t, (float64(i)+0.5)*power)
		}
	}
	const seed = 7
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for exponent := -80; exponent < 80; exponent++ {
		checkValue(t, math.Ldexp(1, exponent))
		for range 200 {
			checkValue(t, math.Ldexp(1+random.Float64(), exponent))
			checkValue(t, math.Ldexp(float64(random.Uint64N(1<<20)), exponent))
		}
	}
	for range 5_000 {
		for _, v := range []float64{
			math.Float64frombits(random.Uint64()),
			float64(random.Int64N(1e15)) / 1e3, float64(random.Int64N(1e15)) / 1e6, float64(random.Int64N(1e9)) / 1e4,
			float64(random.Int64()) / 7, math.Round(random.NormFloat64()*1e4) / 100, float64(random.Int64N(1e17)), random.Float64() * 1e-5,
			float64(random.IntN(1e6)) / 300, float64(random.Int64N(1e15)) / math.Pow(10, float64(random.IntN(22))), random.ExpFloat64() * 100,
		} {
			checkValue(t, v)
		}
	}
}

func FuzzValue(f *testing.F) {
	for _, v := range []float64{0, 1, 0.1, 1e-6, 123.456, 1e21, 2.0 / 3, 1 << 60, math.Inf(1), math.NaN()} {
		f.Add(math.Float64bits(v), int64(v*1000), uint8(3))
	}
	f.Fuzz(func(t *testing.T, bits uint64, n int64, places uint8) {
		checkValue(t, math.Float64frombits(bits))
		checkValue(t, float64(n)/math.Pow(10, float64(places%20)))
	})
}

func TestPowersOfTen(t *testing.T) {
	for i, power := range powers {
		exponent := powerMin + i
		num, den := big.NewInt(1), big.NewInt(1)
		if ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exponent, -exponent))), nil); exponent < 0 {
			den = ten
		} else {
			num = ten
		}
		num.Lsh(num, 256)
		// Rounded up to 128 bits.
		shift := new(big.Int).Div(num, den).BitLen() - 128
		den.Lsh(den, uint(shift))
		num.Add(num, new(big.Int).Sub(den, big.NewInt(1)))
		want := new(big.Int).Div(num, den)
		got := new(big.Int).SetUint64(power[0])
		got.Lsh(got, 64).Add(got, new(big.Int).SetUint64(power[1]))
		if got.Cmp(want) != 0 {
			t.Errorf("10^%d is %x, want %x", exponent, got, want)
		}
	}
}

func TestDigits(t *testing.T) {
	for n := uint64(1); n < math.MaxUint64/3; n = n*3 + n/7 {
		for _, n := range []uint64{n, n - 1, n / 1000 * 1000} {
			b := make([]byte, numberRoom)
			if got, want := string(b[:putDigits(b, n)]), strconv.FormatUint(n, 10); got != want {
				t.Fatalf("%d is %s", n, got)
			}
		}
	}
	for n := range uint32(20_000) {
		b := make([]byte, 8)
		put8(b, n*4999)
		if got, _ := strconv.Atoi(string(b)); got != int(n*4999) {
			t.Fatalf("%d is %s", n*4999, b)
		}
	}
}

// Flat parts of lines are copied from the point before, but never another value:
// not over the end of a block or of a series, and not a zero of the other sign.
func TestRepeatedValues(t *testing.T) {
	zero := math.Copysign(0, -1)
	values := []float64{1.25, 1.25, 0, 0, zero, zero, 0, math.NaN(), math.NaN(), 1e300, 1e300, 0}
	var m promql.Matrix
	want := []byte("[")
	for i := range 3 {
		s := promql.Series{Metric: labels.FromStrings("i", strconv.Itoa(i))}
		if i > 0 {
			want = append(want, ',')
		}
		want = append(want, `{"metric":{"i":"`+strconv.Itoa(i)+`"},"values":[`...)
		for at := range 20_000 {
			v := values[at/(i+1)%len(values)]
			s.Floats = append(s.Floats, promql.FPoint{T: int64(at) * 1000, F: v})
			if at > 0 {
				want = append(want, ',')
			}
			want = append(want, "["+strconv.Itoa(at)+","+plainValue(v)+"]"...)
		}
		m, want = append(m, s), append(want, "]}"...)
	}
	got, blocks := matrixText(m, nil)
	if blocks < 5 || string(got) != string(want)+"]" {
		t.Errorf("%d blocks, %d bytes that differ", blocks, len(got))
	}
}

// TestTwoWritersGiveTheSameText writes series of all lengths, in blocks by turns,
// and as one goroutine does it.
func TestTwoWritersGiveTheSameText(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 8 {
		var m promql.Matrix
		shared := false
		for i := range 60 + random.IntN(40) {
			s := promql.Series{Metric: labels.FromStrings("i", strconv.Itoa(i))}
			n := random.IntN(400)
			if random.IntN(40) == 0 {
				n = random.IntN(30_000)
			}
			for at := range n {
				s.Floats = append(s.Floats, promql.FPoint{T: int64(at) * 1000, F: random.Float64()})
			}
			if random.IntN(10) == 0 {
				s.Histograms = []promql.HPoint{{T: 5, H: &histogram.FloatHistogram{Count: 1, Sum: 2}}}
			}
			m = append(m, s)
		}
		want, _ := (&matrixPart{matrix: m}).upTo([]byte{'['}, len(m), math.MaxInt)
		part := &matrixPart{matrix: m}
		var got []byte
		for done := false; !done; {
			got, done = part.next(got)
			shared = shared || part.second != nil
		}
		if string(got) != string(want)+"]" {
			t.Errorf("round %d: %d bytes, want %d", round, len(got), len(want)+1)
		}
		if round == 0 && !shared {
			t.Error("one goroutine wrote it all")
		}
	}
}

// matrixText writes m as an answer does, block by block.
func matrixText(m promql.Matrix, to io.Writer) (whole []byte, blocks int) {
	part := valuePart(m)
	block := make([]byte, 0, 2*blockBytes)
	for done := false; !done; blocks++ {
		if block, done = part.next(block[:0]); to == nil {
			whole = append(whole, block...)
		} else {
			_, _ = to.Write(block)
		}
	}
	return whole, blocks
}

// matrixOf is a thousand series of 361 points each.
func matrixOf(value func(random *rand.Rand, i int) float64) promql.Matrix {
	m := make(promql.Matrix, 1000)
	random := rand.New(rand.NewPCG(1, 1))
	for i := range m {
		m[i].Metric = labels.FromStrings("host", "host_"+strconv.Itoa(i))
		for p := range 361 {
			m[i].Floats = append(m[i].Floats, promql.FPoint{T: 1795454040000 + int64(p)*60000, F: value(random, p)})
		}
	}
	return m
}

var matrices = []struct {
	name  string
	value func(random *rand.Rand, i int) float64
}{
	{"decimals", func(r *rand.Rand, _ int) float64 { return float64(r.IntN(1e6)) / 1000 }},
	{"integers", func(r *rand.Rand, _ int) float64 { return float64(r.IntN(1e6)) }},
	{"rates", func(r *rand.Rand, _ int) float64 { return float64(r.IntN(1e6)) / 300 }},
	{"fractions", func(r *rand.Rand, _ int) float64 { return r.Float64() }},
	{"flat", func(_ *rand.Rand, i int) float64 { return float64(i/50) / 10 }},
}

func BenchmarkMatrixJSON(b *testing.B) {
	for _, c := range matrices {
		b.Run(c.name, func(b *testing.B) {
			m := matrixOf(c.value)
			text, _ := matrixText(m, nil)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				matrixText(m, io.Discard)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/361_000, "ns/point")
		})
	}
}

func BenchmarkMatrixGzip(b *testing.B) {
	for _, c := range matrices {
		b.Run(c.name, func(b *testing.B) {
			m := matrixOf(c.value)
			text, _ := matrixText(m, nil)
			b.SetBytes(int64(len(text)))
			var sent counting
			pool := new(buffers)
			zip := pool.compressor(&sent, pool.level(text[:wholeBytesMax]))
			for b.Loop() {
				sent = 0
				zip.Reset(&sent)
				_, _ = zip.Write(text)
				_ = zip.Close()
			}
			b.ReportMetric(float64(sent)/float64(len(text)), "ratio")
		})
	}
}

// counting is a writer that counts bytes.
type counting int64

func (c *counting) Write(p []byte) (int, error) { *c += counting(len(p)); return len(p), nil }
