package column

import "math"

// Runs decodes src, a column of n values, into runs, which it appends to dst.
// It returns false, and nothing decoded, if the column is not made of runs:
// only constants and columns that change seldom are.
func (d *Decoder) Runs(dst []Run, src []byte, n int) ([]Run, bool, error) {
	c := cursor{src: src}
	kind := c.head(n)
	return d.runs(dst, &c, kind, n)
}

// Runs decodes entry i into runs, which it appends to dst; see Decoder.Runs.
func (r *CellReader) Runs(dst []Run, i int) ([]Run, bool, error) {
	c, kind, _ := r.column(i)
	return r.decoder.runs(dst, &c, kind, r.length(i))
}

func (d *Decoder) runs(dst []Run, c *cursor, kind byte, n int) (runs []Run, ok bool, err error) {
	if c.err != nil {
		return dst, false, c.result()
	}
	before := len(dst)
	switch kind {
	case kindConst:
		dst = append(dst, Run{math.Float64frombits(c.u64()), n})
	case kindConstInt:
		dst = append(dst, Run{float64(c.constInt()), n})
	case kindDecimal:
		if dst, ok = d.decimalRuns(dst, c, n); !ok {
			return dst[:before], false, c.result()
		}
	default:
		return dst, false, nil
	}
	c.end()
	if c.err != nil {
		return dst[:before], false, c.result()
	}
	return dst, true, nil
}

// decimalRuns appends the runs of the decimal column that c is at, or returns
// false if it is not made of runs.
func (d *Decoder) decimalRuns(dst []Run, c *cursor, n int) ([]Run, bool) {
	head := readDecimal(c, n)
	if c.err != nil || head.ulps || !c.runsAhead() {
		return dst, false
	}
	p := d.readInts(c, n)
	if c.err != nil || !p.steps() {
		return dst, false
	}
	marks := exceptionMarks{cursor: cursor{src: c.src, off: head.exceptions}, n: n, first: len(dst)}
	marks.at = n
	if head.exceptions > 0 {
		marks.left = marks.count(n, "")
		marks.advance()
	}
	x, from := p.first, 0
	for i := range p.entries {
		end := int(d.at[i])
		dst = marks.appendRun(dst, head.scaled(x), from, end)
		x += p.residual(d.u[i])
		from = end
	}
	return marks.appendRun(dst, head.scaled(x), from, n), true
}

// runsAhead reports whether the integers that c is at may be made of runs.
func (c *cursor) runsAhead() bool {
	if c.off >= len(c.src) {
		return false
	}
	head := c.src[c.off]
	form := head >> intsStream
	return head&intsPredictor == predictDelta && (form == streamSparse || form == streamZero)
}

// exceptionMarks walks over the exceptions of a column, which were checked
// before, while runs are appended.
type exceptionMarks struct {
	cursor
	n     int
	first int // where the column's runs start
	left  int
	next  int // the position behind the last exception read
	at    int // position of the exception that comes next; n if there is none
	bits  uint64
}

func (m *exceptionMarks) advance() {
	if m.left == 0 {
		m.at = m.n
		return
	}
	m.at, m.bits = m.exception(m.next, m.n)
	m.next = m.at + 1
	m.left--
}

// appendRun appends the samples from from to end, which are v, or exceptions.
func (m *exceptionMarks) appendRun(dst []Run, v float64, from, end int) []Run {
	for m.at < end {
		if m.at > from {
			dst = m.append(dst, v, m.at)
		}
		dst = m.append(dst, math.Float64frombits(m.bits), m.at+1)
		from = m.at + 1
		m.advance()
	}
	if from < end {
		dst = m.append(dst, v, end)
	}
	return dst
}

// append appends a run, or makes the last one longer if it has the same bits.
func (m *exceptionMarks) append(dst []Run, v float64, end int) []Run {
	if k := len(dst) - 1; k >= m.first && math.Float64bits(dst[k].Value) == math.Float64bits(v) {
		dst[k].End = end
		return dst
	}
	return append(dst, Run{v, end})
}
