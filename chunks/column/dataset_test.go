package column

import (
	"math"
	"strings"
	"testing"
)

// sealed is a data set as it would be sealed: timestamp columns and cells.
type sealed struct {
	times   [][]byte
	cells   [][]byte
	samples int
}

// groupBytes is the size at which the cells of a group of series are closed.
const groupBytes = 32 << 10

// sealer seals captures as the storage does: series are taken in groups of one
// metric and scrape target; a group has a cell for each SamplesMax samples.
type sealer struct {
	t       testing.TB
	encoder *Encoder
	writers []*CellWriter
	out     sealed
	columns map[[16]byte]uint32
	plain   [][]int64
}

func seal(t testing.TB, series []captured, level Level) sealed {
	s := &sealer{t: t, encoder: NewEncoder(level), columns: make(map[[16]byte]uint32)}
	previous, size := "", 0
	for number, c := range series {
		if metric := familyOf(c); metric != previous || size > groupBytes {
			s.closeCells()
			previous, size = metric, 0
		}
		s.add(uint32(number), c)
		for _, w := range s.writers {
			size = max(size, w.Size())
		}
	}
	s.closeCells()
	return s.out
}

func familyOf(c captured) string {
	metric, _, _ := strings.Cut(c.name, "{")
	return metric + string(rune(c.group))
}

func (s *sealer) closeCells() {
	for _, w := range s.writers {
		if w.Len() > 0 {
			s.out.cells = append(s.out.cells, w.AppendTo(nil))
			w.Reset()
		}
	}
}

func (s *sealer) add(number uint32, c captured) {
	column, base := s.column(c.times)
	for i := 0; i < len(c.values); i += SamplesMax {
		end, k := min(i+SamplesMax, len(c.values)), i/SamplesMax
		if k == len(s.writers) {
			s.writers = append(s.writers, NewCellWriter(s.encoder))
		}
		err := s.writers[k].Add(Entry{
			Series: number,
			Times:  Slice{column, uint32(base + i), uint32(end - i)},
			Values: c.values[i:end],
			Bucket: strings.Contains(c.name, "_bucket{"),
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	s.out.samples += len(c.values)
}

// column returns the number of a column that holds t, and where.
func (s *sealer) column(t []int64) (number uint32, offset int) {
	hash := HashTimes(t)
	if number, ok := s.columns[hash]; ok {
		return number, 0
	}
	for i, plain := range s.plain {
		if offset, ok := FindSlice(plain, t); ok {
			return uint32(i), offset
		}
	}
	number = uint32(len(s.out.times))
	s.columns[hash] = number
	s.plain = append(s.plain, t)
	s.out.times = append(s.out.times, s.encoder.AppendTimes(nil, t))
	return number, 0
}

func (s *sealed) bytes() int {
	n := 0
	for _, b := range s.times {
		n += len(b)
	}
	for _, b := range s.cells {
		n += len(b)
	}
	return n
}

// unseal decodes everything once, timestamps once for each column.
func (s *sealed) unseal(t testing.TB, r *CellReader, times []int64, values []float64) (samples int) {
	for _, src := range s.times {
		n, err := TimesLen(src, math.MaxInt32)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < n; i += len(times) {
			if err := r.decoder.Times(times[:min(len(times), n-i)], src, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, src := range s.cells {
		if err := r.Open(src, Limits{}); err != nil {
			t.Fatal(err)
		}
		for i := range r.Len() {
			if err := r.Values(values, i); err != nil {
				t.Fatal(err)
			}
			samples += r.length(i)
		}
	}
	return samples
}

var dataSets = []string{"node_1s", "goapp_1s", "node_15s", "goapp_15s", "synth"}

// TestDataSetsBitExact seals the captures at every level and compares every
// sample that comes back.
func TestDataSetsBitExact(t *testing.T) {
	for _, name := range dataSets {
		t.Run(name, func(t *testing.T) {
			series := dataSet(t, name)
			for _, level := range levels {
				s := seal(t, series, level)
				checkSealed(t, series, &s)
				t.Logf("%s %v: %.3f bytes/sample", name, level, float64(s.bytes())/float64(s.samples))
			}
		})
	}
}

func checkSealed(t *testing.T, series []captured, s *sealed) {
	t.Helper()
	var r CellReader
	at := make([]int, len(series))
	var values [SamplesMax]float64
	var times [SamplesMax]int64
	for _, src := range s.cells {
		if err := r.Open(src, Limits{}); err != nil {
			t.Fatal(err)
		}
		for i := range r.Len() {
			c, slice := series[r.Series(i)], r.Times(i)
			n, from := int(slice.Length), at[r.Series(i)]
			if err := r.Values(values[:], i); err != nil {
				t.Fatal(err)
			}
			if !sameBits(values[:n], c.values[from:from+n]) {
				t.Fatalf("%s: other values than were sealed", c.name)
			}
			if err := r.decoder.Times(times[:n], s.times[slice.Column], int(slice.Offset)); err != nil {
				t.Fatal(err)
			}
			for k, ts := range times[:n] {
				if ts != c.times[from+k] {
					t.Fatalf("%s: other timestamps than were sealed", c.name)
				}
			}
			at[r.Series(i)] += n
		}
	}
	for i, n := range at {
		if n != len(series[i].values) {
			t.Fatalf("%s: %d of %d samples came back", series[i].name, n, len(series[i].values))
		}
	}
}
