package window

import (
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/varve-db/varve/chunks/column"
)

// encode writes a cell of one series with its shapes.
func encode(t testing.TB, w *Windows) (cell []byte, shapes [][]byte) {
	t.Helper()
	e := NewEncoder(column.Balanced)
	c := NewCellWriter(e)
	for from := 0; from < w.Len(); from += RowsMax {
		to := min(from+RowsMax, w.Len())
		shape := ShapeOf(w, from, to)
		if err := c.Add(7, uint32(len(shapes)), w, from, to); err != nil {
			t.Fatal(err)
		}
		shapes = append(shapes, e.AppendShape(nil, &shape))
	}
	return c.AppendTo(nil), shapes
}

func decode(cell []byte, shapes [][]byte) (*Windows, error) {
	var c Cell
	var d Decoder
	if err := c.Open(cell); err != nil {
		return nil, err
	}
	out := &Windows{}
	for _, entry := range c.Find(7) {
		if int(entry.Shape) >= len(shapes) {
			return nil, corrupt("no shape %d", entry.Shape)
		}
		var s Shape
		if err := d.Shape(&s, shapes[entry.Shape]); err != nil {
			return nil, err
		}
		if err := d.Values(out, &s, entry.Values); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// kinds are series of different natures.
func kinds(r *rand.Rand, kind, n int) *Windows {
	times, values := make([]int64, n), make([]float64, n)
	t, v := int64(1_700_000_000_000), 0.0
	for i := range times {
		t += 15_000 + int64(kind%2)*r.Int64N(9)
		times[i] = t
		switch kind {
		case 0:
			v += float64(r.IntN(50))
		case 1:
			v = float64(r.IntN(100000)) / 1000
		case 2:
			v = r.NormFloat64()
		case 3:
			v = 0.1
		case 4:
			if v += float64(r.IntN(50)) / 10; r.IntN(100) == 0 {
				v = 0
			}
		default:
			v = math.Copysign(0, -1)
		}
		values[i] = v
	}
	w := &Windows{}
	w.Append(times, values, 300_000)
	return w
}

func TestCellRoundTrips(t *testing.T) {
	for seed := range uint64(84) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := kinds(r, int(seed%6), 1+r.IntN(1+int(seed*seed*5)))
		if seed%7 == 6 {
			w = &Windows{}
			times, values := randomSamples(r, 1+r.IntN(3000))
			w.Append(times, values, 60_000)
		}
		got, err := decode(encode(t, w))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !reflect.DeepEqual(text(got), text(w)) {
			t.Fatalf("seed %d: differs", seed)
		}
	}
}

// TestRegularSeriesAreSmall says what a row takes of a day of a counter and of a
// constant scraped every 15 s, in 5 min windows.
func TestRegularSeriesAreSmall(t *testing.T) {
	for kind, bytesMax := range map[int]int{0: 288 * 5, 3: 40} {
		cell, shapes := encode(t, kinds(rand.New(rand.NewPCG(1, 1)), kind, 5760))
		t.Logf("kind %d: %d bytes of values, %d of shape", kind, len(cell), len(shapes[0]))
		if len(cell) > bytesMax {
			t.Errorf("kind %d: a day takes %d bytes, wanted at most %d", kind, len(cell), bytesMax)
		}
	}
}

func TestGoldenBytes(t *testing.T) {
	w := &Windows{}
	stale := math.Float64frombits(0x7ff0000000000002)
	w.Append([]int64{1, 2000, 5000, 12_000, 13_000, 25_000}, []float64{1.5, 2.5, 0.5, 7, 8, stale}, 10_000)
	cell, shapes := encode(t, w)
	for _, c := range []struct {
		name, want string
		got        []byte
	}{
		{"shape", goldenShape, shapes[0]}, {"cell", goldenCell, cell},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is %s, was %s", c.name, got, c.want)
		}
	}
	golden := func(s string) []byte { b, _ := hex.DecodeString(s); return b }
	got, err := decode(golden(goldenCell), [][]byte{golden(goldenShape)})
	if err != nil || !reflect.DeepEqual(text(got), text(w)) {
		t.Errorf("decoded\n%v, error %v, want\n%v", text(got), err, text(w))
	}
}

const (
	goldenShape = "0103010100a09c0102da5da69c01e15d18e80700033d0015060234188927000104f01c5238"
	goldenCell  = "01010700001e5b01184b0a010618050004d200023c3b141d3c1e01022201011d3219010218c4a3b0"
)

// FuzzDecode decodes any bytes: damage is an error, and what decodes can be encoded
// again and is the same.
func FuzzDecode(f *testing.F) {
	for kind := range 6 {
		cell, shapes := encode(f, kinds(rand.New(rand.NewPCG(1, 1)), kind, 500))
		f.Add(cell, shapes[0])
		f.Add(cell[:len(cell)-5], shapes[0])
	}
	f.Fuzz(func(t *testing.T, cell, shape []byte) {
		// Checksums would keep nearly all of what is tried from being decoded.
		if len(cell) > 4 && len(shape) > 4 {
			cell = column.AppendChecksum(cell[:len(cell)-4:len(cell)-4], 0)
			shape = column.AppendChecksum(shape[:len(shape)-4:len(shape)-4], 0)
		}
		w, err := decode(cell, [][]byte{shape})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		for from := 0; from < w.Len(); from += RowsMax {
			if _, err := NewEncoder(column.Fast).AppendValues(nil, w, from, min(from+RowsMax, w.Len())); err != nil {
				t.Fatal(err)
			}
		}
	})
}
