package influx

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// TestAsTheReferenceWrites decodes what InfluxData's own encoder writes of names
// and values that need escapes and quotes.
func TestAsTheReferenceWrites(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, seed))
	for range 5000 {
		var e lineprotocol.Encoder
		e.SetPrecision(lineprotocol.Nanosecond)
		measurement := word(r)
		e.StartLine(measurement)
		tags := map[string]string{}
		for range r.IntN(4) {
			tags[word(r)] = word(r)
		}
		names := make([]string, 0, len(tags))
		for name := range tags {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			e.AddTag(name, tags[name])
		}
		var want []parsed
		for i := range 1 + r.IntN(4) {
			field := word(r) + string(rune('a'+i))
			value, v, ok := fieldValue(r)
			e.AddField(field, value)
			if ok {
				tags[labels.MetricName] = measurement + "_" + field
				want = append(want, parsed{labels.FromMap(tags), v})
			}
		}
		at := time.UnixMilli(r.Int64N(2e12))
		e.EndLine(at)
		if e.Err() != nil {
			t.Fatal(e.Err())
		}
		var d Decoder
		var b series.Batch
		d.Begin(Options{})
		line := e.Bytes()
		if n := Split(line); n != len(line) {
			t.Fatalf("%q ends at %d", line, n)
		}
		if err := d.Line(&b, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if len(b.Rows) != len(want) {
			t.Fatalf("%q: %s, want %v", line, dump(t, &b), want)
		}
		var builder labels.ScratchBuilder
		for i, w := range want {
			ls, err := b.Labels(i).Decode(&builder)
			if err != nil || !labels.Equal(ls, w.labels) || math.Float64bits(b.Values[i]) != math.Float64bits(w.value) || b.Timestamps[i] != at.UnixMilli() {
				t.Fatalf("%q: %v %v %d, want %+v %d", line, ls, b.Values[i], b.Timestamps[i], w, at.UnixMilli())
			}
		}
	}
}

type parsed struct {
	labels labels.Labels
	value  float64
}

// word returns a name of bytes that tend to need escapes. The reference writes no
// backslash that it cannot read again, so none stands before what it escapes.
func word(r *rand.Rand) string {
	var s strings.Builder
	for range 1 + r.IntN(6) {
		s.WriteString([]string{"a", "b", "Z", "_", " ", ",", "=", "\"", "ü", "\\d", "0", "."}[r.IntN(12)])
	}
	return s.String() + "x"
}

// fieldValue returns a value and the sample that it is, if it is one.
func fieldValue(r *rand.Rand) (lineprotocol.Value, float64, bool) {
	switch r.IntN(5) {
	case 0:
		v := math.Ldexp(r.NormFloat64(), r.IntN(200)-100)
		value, _ := lineprotocol.FloatValue(v)
		return value, v, true
	case 1:
		v := r.Int64()
		return lineprotocol.IntValue(-v), float64(-v), true
	case 2:
		v := r.Uint64()
		return lineprotocol.UintValue(v), float64(v), true
	case 3:
		return lineprotocol.BoolValue(true), 1, true
	}
	value, _ := lineprotocol.StringValue(word(r) + "\n\"\\," + word(r))
	return value, 0, false
}
