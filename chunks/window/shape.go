package window

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/varve-db/varve/chunks/column"
)

// ErrCorrupt means that the bytes are not what this package wrote.
var ErrCorrupt = errors.New("corrupt windows")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// damaged says where in windows an error of a column was met.
func damaged(what string, err error) error { return fmt.Errorf("%w: %s: %w", ErrCorrupt, what, err) }

// RowsMax is the most rows that are encoded together.
const RowsMax = column.SamplesMax

// Shape is what the windows of all series have in common that were scraped
// together: everything but values. A shape is
//
//	u8       version, 1
//	uvarint  number of rows n, 1 to RowsMax
//	u8       1 if any row has a stale marker, else 0
//	columns  of n integers each: End; End - FirstTime; End - LastTime; Count;
//	         [End - Stale + 1, or 0 for none]
//	u32      checksum: the low 32 bits of the XXH3-64 of all bytes before
//
// A row without samples has 0 in the second and the third column.
type Shape struct {
	End, FirstTime, LastTime, Stale []int64
	Count                           []float64
}

const shapeVersion = 1

// ShapeOf returns the shape of rows [from, to) of w, which shares its memory.
func ShapeOf(w *Windows, from, to int) Shape {
	return Shape{w.End[from:to], w.FirstTime[from:to], w.LastTime[from:to], w.Stale[from:to], w.Count[from:to]}
}

// Len returns the number of rows.
func (s *Shape) Len() int { return len(s.End) }

// AppendKey appends numbers that differ where shapes do.
func (s *Shape) AppendKey(dst []int64) []int64 {
	dst = append(append(append(append(dst, s.End...), s.FirstTime...), s.LastTime...), s.Stale...)
	for _, n := range s.Count {
		dst = append(dst, int64(n))
	}
	return dst
}

// Encoder turns windows into bytes. One goroutine uses it at a time.
type Encoder struct {
	columns *column.Encoder
	scaled  scaled
	ints    [RowsMax]int64
	decoder Decoder
	check   Windows
}

// NewEncoder returns an encoder that tries as hard as level says.
func NewEncoder(level column.Level) *Encoder { return &Encoder{columns: column.NewEncoder(level)} }

// AppendShape appends the shape to dst. It has 1 to RowsMax rows.
func (e *Encoder) AppendShape(dst []byte, s *Shape) []byte {
	at, n := len(dst), s.Len()
	dst = binary.AppendUvarint(append(dst, shapeVersion), uint64(n))
	markers := byte(0)
	for _, t := range s.Stale {
		if t != 0 {
			markers = 1
		}
	}
	dst = append(dst, markers)
	x := e.ints[:n]
	behind := func(times []int64) {
		for i, t := range times {
			x[i] = 0
			if s.Count[i] > 0 {
				x[i] = s.End[i] - t
			}
		}
		dst = e.columns.AppendIntegers(dst, x)
	}
	dst = e.columns.AppendIntegers(dst, s.End)
	behind(s.FirstTime)
	behind(s.LastTime)
	for i, c := range s.Count {
		x[i] = int64(c)
	}
	dst = e.columns.AppendIntegers(dst, x)
	if markers == 1 {
		for i, t := range s.Stale {
			x[i] = 0
			if t != 0 {
				x[i] = s.End[i] - t + 1
			}
		}
		dst = e.columns.AppendIntegers(dst, x)
	}
	return column.AppendChecksum(dst, at)
}

// Decoder turns bytes into windows. One goroutine uses it at a time; the zero value
// is ready.
type Decoder struct {
	columns column.Sequence
	ints    [RowsMax]int64
	rows    scaled
}

// Shape decodes src into s, whose memory it takes anew.
func (d *Decoder) Shape(s *Shape, src []byte) error {
	src, err := column.CutChecksum(src)
	if err != nil {
		return damaged("shape", err)
	}
	if len(src) < 3 || src[0] != shapeVersion {
		return corrupt("unknown version of a shape")
	}
	rows, size := binary.Uvarint(src[1:])
	if size <= 0 || rows < 1 || rows > RowsMax || len(src) < 2+size || src[1+size] > 1 {
		return corrupt("head of a shape")
	}
	n, markers := int(rows), src[1+size] == 1
	times := make([]int64, 4*n)
	*s = Shape{End: times[:n:n], FirstTime: times[n : 2*n : 2*n], LastTime: times[2*n : 3*n : 3*n], Stale: times[3*n:], Count: make([]float64, n)}
	d.columns.Open(src[2+size:])
	all := [][]int64{s.End, s.FirstTime, s.LastTime, d.ints[:n]}
	if markers {
		all = append(all, s.Stale)
	}
	for _, c := range all {
		if err := d.columns.Integers(c); err != nil {
			return damaged("shape", err)
		}
	}
	if err := d.columns.End(); err != nil {
		return damaged("shape", err)
	}
	return s.settle(d.ints[:n])
}

// settle turns the columns into times and counts.
func (s *Shape) settle(counts []int64) error {
	for i, count := range counts {
		if count < 0 || count > countMax || i > 0 && s.End[i] <= s.End[i-1] {
			return corrupt("row %d of a shape", i)
		}
		s.Count[i] = float64(count)
		if s.Stale[i] != 0 {
			s.Stale[i] = s.End[i] - s.Stale[i] + 1
		}
		if count == 0 {
			s.FirstTime[i], s.LastTime[i] = 0, 0
			continue
		}
		s.FirstTime[i], s.LastTime[i] = s.End[i]-s.FirstTime[i], s.End[i]-s.LastTime[i]
		if s.FirstTime[i] > s.LastTime[i] || s.LastTime[i] > s.End[i] {
			return corrupt("times of row %d of a shape", i)
		}
	}
	return nil
}

// countMax bounds the samples of a row.
const countMax = 1 << 40
