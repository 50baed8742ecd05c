package decimal

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func check(t *testing.T, s string) {
	t.Helper()
	want, err := strconv.ParseFloat(s, 64)
	wantOK := err == nil && !strings.ContainsAny(s, "_xXpP")
	got, ok := Float([]byte(s))
	if ok != wantOK || ok && math.Float64bits(got) != math.Float64bits(want) {
		t.Errorf("%q: %v %v, want %v %v", s, got, ok, want, wantOK)
	}
}

func TestFloat(t *testing.T) {
	for _, s := range []string{
		"0", "-0", "1", "-1", "+1", "1.", ".5", "-.5", ".", "-", "+", "", "e5", "1e", "1e+", "1e-", "1e5", "1E5", "1e-5", "1e+05",
		"9007199254740992", "9007199254740993", "9007199254740991e22", "1e22", "1e23", "1.7976931348623157e308", "1e309", "-1e400",
		"5e-324", "1e-400", "123456789012345678901234567890", "0.1", "0.30000000000000004", "1.2.3", "1,2", " 1", "1 ", "1_0", "0x1p3",
		"nan", "NaN", "-NaN", "inf", "+Inf", "-Infinity", "infinite", "1e99999", "1e-99999", "00012", "12e0003", "1..2",
	} {
		check(t, s)
	}
	if v, ok := Float([]byte("NaN")); !ok || math.Float64bits(v) != 0x7ff8000000000001 {
		t.Errorf("NaN: %x", math.Float64bits(v))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		v := math.Float64frombits(r.Uint64())
		if r.IntN(2) == 0 {
			v = float64(r.IntN(1e6)) / math.Pow10(r.IntN(6))
		}
		check(t, strconv.FormatFloat(v, "efg"[r.IntN(3)], -1, 64))
	}
}

func TestInt(t *testing.T) {
	for _, s := range []string{"0", "-0", "12", "-12", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "", "-", "+5", "1.0", "1e3", "x", "0000000000000000000000001"} {
		want, err := strconv.ParseInt(s, 10, 64)
		got, ok := Int([]byte(s))
		if strings.HasPrefix(s, "+") { // strconv takes a plus, the formats have none
			err = strconv.ErrSyntax
		}
		if ok != (err == nil) || ok && got != want {
			t.Errorf("%q: %d %v, want %d %v", s, got, ok, want, err)
		}
	}
}

func TestMillis(t *testing.T) {
	for _, c := range []struct {
		seconds float64
		ms      int64
		ok      bool
	}{{1.5, 1500, true}, {1520879607.789, 1520879607789, true}, {1520879607.7899, 1520879607789, true}, {-0.0005, -1, true}, {math.NaN(), 0, false}, {math.Inf(1), 0, false}, {1e300, 0, false}} {
		if ms, ok := Millis(c.seconds); ok != c.ok || ok && ms != c.ms {
			t.Errorf("%v: %d %v", c.seconds, ms, ok)
		}
	}
}

func FuzzFloat(f *testing.F) {
	for _, s := range []string{"12.5", "-1e-7", "nan", "0x1", "1_2", "9007199254740993"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { check(t, s) })
}

func BenchmarkFloat(b *testing.B) {
	inputs := [][]byte{[]byte("58"), []byte("0.123456"), []byte("1234567.25"), []byte("-17.5")}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := Float(inputs[i&3]); !ok {
			b.Fatal("no number")
		}
	}
}
