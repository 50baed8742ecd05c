package window

import "math"

// The values of rows of one series, whose shape is known, are
//
//	u8   flags
//	u8   scaled: the decimal exponent; else how columns equal others
//	...  columns, as the flags say
//
// Scaled values are x / 10^exponent with integers x, as those of counters and of
// most gauges are. Their columns are, of integers,
//
//	Last
//	[first]     First less the Last of the row before; of row 0 its own Last
//	[below]     min(First, Last) - Min
//	[above]     Max - max(First, Last)
//	[sum]       2 Sum - Count (First + Last), Sum rounded to an integer
//	[ulps]      how many floats the true sum is above that
//
// and a column left out is all zeros. In rows without samples Last is that of the row
// before and all others are zero. Other values are columns of floats: Last, then
// First, Min, Max, and Sum, less those that are equal to one before. Correction
// comes last in both, as floats, unless it is all zeros.
const (
	flagScaled     = 0x01
	flagFirst      = 0x02
	flagBelow      = 0x04
	flagAbove      = 0x08
	flagSum        = 0x10
	flagUlps       = 0x20
	flagCorrection = 0x40

	// How the columns of floats behind Last equal others, two bits each.
	ownColumn    = 0
	likeLast     = 1
	likeFirst    = 2
	exponentMax  = 12
	scaledMax    = 1 << 50
	scaledCounts = 1 << 10 // so that 2 Sum stays below 2^62
)

var tens = [exponentMax + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12}

// scaled are rows as integers.
type scaled struct {
	exponent                            int
	last, first, below, above, sum, ulp [RowsMax]int64
}

// orderedBits maps the bits of a float to an integer of the same order as the
// floats, and back.
func orderedBits(b uint64) uint64 { return b ^ uint64(int64(b)>>63)>>1 }

// AppendValues appends the values of rows [from, to) of w, of which there are 1 to
// RowsMax. It decodes what it wrote and compares it.
func (e *Encoder) AppendValues(dst []byte, w *Windows, from, to int) ([]byte, error) {
	part := w.slice(from, to)
	at := len(dst)
	if e.scaled.of(&part) {
		dst = e.appendScaled(dst, &part)
	} else {
		dst = e.appendFloats(dst, &part)
	}
	shape := ShapeOf(w, from, to)
	e.check.Reset()
	if err := e.decoder.Values(&e.check, &shape, dst[at:]); err != nil {
		return dst, err
	}
	others := part.values()
	for i, c := range e.check.values() {
		for k, v := range *c {
			if math.Float64bits(v) != math.Float64bits((*others[i])[k]) {
				return dst, corrupt("encoding of column %d, row %d", i, k)
			}
		}
	}
	return dst, nil
}

// slice returns rows [from, to), which share w's memory.
func (w *Windows) slice(from, to int) Windows {
	out := Windows{End: w.End[from:to], FirstTime: w.FirstTime[from:to], LastTime: w.LastTime[from:to], Stale: w.Stale[from:to]}
	others := out.values()
	for i, c := range w.values() {
		*others[i] = (*c)[from:to]
	}
	return out
}

// of sets s to the rows of w, and reports whether they can be scaled.
func (s *scaled) of(w *Windows) bool {
	s.exponent = 0
	for _, c := range [][]float64{w.Last, w.First, w.Min, w.Max} {
		for _, v := range c {
			for !fits(v, s.exponent) {
				if s.exponent++; s.exponent > exponentMax || math.Abs(v) >= scaledMax {
					return false
				}
			}
		}
	}
	before := int64(0)
	for i, count := range w.Count {
		if count == 0 {
			s.last[i], s.first[i], s.below[i], s.above[i], s.sum[i], s.ulp[i] = before, 0, 0, 0, 0, 0
			continue
		}
		if !s.row(w, i, before) {
			return false
		}
		before = s.last[i]
	}
	return true
}

// fits reports whether v is an integer over a power of ten, not -0.
func fits(v float64, exponent int) bool {
	x := math.Round(v * tens[exponent])
	return math.Abs(x) < scaledMax && math.Float64bits(float64(int64(x))/tens[exponent]) == math.Float64bits(v)
}

func (s *scaled) row(w *Windows, i int, before int64) bool {
	by := tens[s.exponent]
	for _, v := range [...]float64{w.Last[i], w.First[i], w.Min[i], w.Max[i]} {
		if !fits(v, s.exponent) {
			return false
		}
	}
	last, first := int64(math.Round(w.Last[i]*by)), int64(math.Round(w.First[i]*by))
	least, greatest := int64(math.Round(w.Min[i]*by)), int64(math.Round(w.Max[i]*by))
	sum := math.Round(w.Sum[i] * by)
	if w.Count[i] > scaledCounts || math.Abs(sum) >= scaledMax*scaledCounts {
		return false
	}
	if i == 0 {
		before = last
	}
	s.last[i], s.first[i] = last, first-before
	s.below[i], s.above[i] = min(first, last)-least, greatest-max(first, last)
	s.sum[i] = 2*int64(sum) - int64(w.Count[i])*(first+last)
	s.ulp[i] = int64(orderedBits(math.Float64bits(w.Sum[i])) - orderedBits(math.Float64bits(sum/by)))
	return true
}

func (e *Encoder) appendScaled(dst []byte, w *Windows) []byte {
	n, at := w.Len(), len(dst)
	dst = append(dst, flagScaled, byte(e.scaled.exponent))
	dst = e.columns.AppendIntegers(dst, e.scaled.last[:n])
	for i, c := range []*[RowsMax]int64{&e.scaled.first, &e.scaled.below, &e.scaled.above, &e.scaled.sum, &e.scaled.ulp} {
		if !zeros(c[:n]) {
			dst[at] |= flagFirst << i
			dst = e.columns.AppendIntegers(dst, c[:n])
		}
	}
	return e.appendCorrection(dst, at, w)
}

func zeros[T int64 | float64](x []T) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}

func (e *Encoder) appendCorrection(dst []byte, at int, w *Windows) []byte {
	if zeros(w.Correction) {
		return dst
	}
	dst[at] |= flagCorrection
	return e.columns.AppendValues(dst, w.Correction)
}

func (e *Encoder) appendFloats(dst []byte, w *Windows) []byte {
	at := len(dst)
	dst = e.columns.AppendValues(append(dst, 0, 0), w.Last)
	for i, c := range [][]float64{w.First, w.Min, w.Max, w.Sum} {
		switch {
		case same(c, w.Last):
			dst[at+1] |= likeLast << (2 * i)
		case i > 0 && same(c, w.First):
			dst[at+1] |= likeFirst << (2 * i)
		default:
			dst = e.columns.AppendValues(dst, c)
		}
	}
	return e.appendCorrection(dst, at, w)
}

func same(a, b []float64) bool {
	for i, v := range a {
		if math.Float64bits(v) != math.Float64bits(b[i]) {
			return false
		}
	}
	return true
}

// Values appends to w the rows of a shape whose values are in src.
func (d *Decoder) Values(w *Windows, shape *Shape, src []byte) error {
	if len(src) < 2 {
		return corrupt("values of %d bytes", len(src))
	}
	from, n := w.Len(), shape.Len()
	w.grow(shape)
	part := w.slice(from, from+n)
	d.columns.Open(src[2:])
	var err error
	if flags := src[0]; flags&flagScaled != 0 {
		err = d.scaled(&part, flags, src[1])
	} else {
		err = d.floats(&part, flags, src[1])
	}
	if err == nil && src[0]&flagCorrection != 0 {
		err = d.columns.Values(part.Correction)
	}
	if err == nil {
		err = d.columns.End()
	}
	if err != nil {
		w.Truncate(from)
		return damaged("values", err)
	}
	return nil
}

// grow adds rows of the shape with zeros for values.
func (w *Windows) grow(s *Shape) {
	n := w.Len()
	w.open = false
	w.End, w.FirstTime = append(w.End, s.End...), append(w.FirstTime, s.FirstTime...)
	w.LastTime, w.Stale = append(w.LastTime, s.LastTime...), append(w.Stale, s.Stale...)
	for _, c := range w.values() {
		*c = append(*c, s.Count...) // so many
		clear((*c)[n:])
	}
	copy(w.Count[n:], s.Count)
}

func (d *Decoder) scaled(w *Windows, flags, exponent byte) error {
	if exponent > exponentMax || flags&^(flagScaled|flagFirst|flagBelow|flagAbove|flagSum|flagUlps|flagCorrection) != 0 {
		return corrupt("flags %#x, exponent %d", flags, exponent)
	}
	s, by := &d.rows, tens[exponent]
	if err := d.columns.Integers(s.last[:w.Len()]); err != nil {
		return err
	}
	for i, c := range []*[RowsMax]int64{&s.first, &s.below, &s.above, &s.sum, &s.ulp} {
		x := c[:w.Len()]
		if flags&(flagFirst<<i) == 0 {
			clear(x)
		} else if err := d.columns.Integers(x); err != nil {
			return err
		}
	}
	before := s.last[0]
	for i, count := range w.Count {
		if count == 0 {
			continue
		}
		last, first := s.last[i], s.first[i]+before
		before = last
		w.Last[i], w.First[i] = float64(last)/by, float64(first)/by
		w.Min[i], w.Max[i] = float64(min(first, last)-s.below[i])/by, float64(max(first, last)+s.above[i])/by
		sum := float64((s.sum[i]+int64(count)*(first+last))/2) / by
		w.Sum[i] = math.Float64frombits(orderedBits(orderedBits(math.Float64bits(sum)) + uint64(s.ulp[i])))
	}
	return nil
}

func (d *Decoder) floats(w *Windows, flags, like byte) error {
	if flags&^flagCorrection != 0 {
		return corrupt("flags %#x", flags)
	}
	if err := d.columns.Values(w.Last); err != nil {
		return err
	}
	for i, c := range [][]float64{w.First, w.Min, w.Max, w.Sum} {
		switch kind := like >> (2 * i) & 3; {
		case kind == likeLast:
			copy(c, w.Last)
		case kind == likeFirst && i > 0:
			copy(c, w.First)
		case kind == ownColumn:
			if err := d.columns.Values(c); err != nil {
				return err
			}
		default:
			return corrupt("column %d is like %d", i, kind)
		}
	}
	return nil
}
