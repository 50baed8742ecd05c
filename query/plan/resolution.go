package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// Resolution says which samples a selector reads, by the widths of the windows.
type Resolution string

// Raw is the samples as they were written.
const Raw Resolution = "raw"

// Piece is a run of steps for which a selector reads in one way.
type Piece struct {
	Grid Grid
	// Width is that of the windows that the steps look at, milliseconds; 0 means
	// samples. A step is answered as of the end of the last window at or before it.
	Width int64
	// Span is how far back of there it looks, in whole windows; 0 for instants.
	Span int64
	// Mint and Maxt are the times between which windows end.
	Mint, Maxt int64
	// From is which windows are read; the samples of the rest are made windows
	// of Width.
	From []Source
}

// Resolution returns what the steps look at: raw, or the width of windows.
func (p *Piece) Resolution() string { return widthText(p.Width) }

// answerable are the functions of range vectors that windows answer as well as
// samples do.
var answerable = map[string]bool{
	"absent_over_time": true, "avg_over_time": true, "count_over_time": true, "delta": true, "first_over_time": true,
	"increase": true, "last_over_time": true, "max_over_time": true, "min_over_time": true, "present_over_time": true,
	"rate": true, "sum_over_time": true, "timestamp": true, "ts_of_first_over_time": true, "ts_of_last_over_time": true,
}

// Answerable lists the functions that windows answer, in order.
func Answerable() []string { return slices.Sorted(maps.Keys(answerable)) }

const (
	// piecesMax bounds the pieces of a selector; beyond, all between the first and
	// the last that read windows is read in the widest.
	piecesMax = 8
	// alignedParts is how many windows the range of a single step has at least, if
	// the step is not at the end of one: less of its answer than one part in so many
	// is of another time then.
	alignedParts = 12
)

// resolution chooses the samples that selectors read: of each partition the
// coarsest windows whose width divides the step and the range, where windows answer
// what is asked.
func resolution(t *Tree) []string {
	r := &resolver{tree: t, lacking: map[string][]Source{}}
	r.visit(t.Root, "")
	t.Infos, t.Warnings = r.infos(), r.warnings()
	return slices.Concat(t.Infos, t.Warnings)
}

// resolver walks a tree.
type resolver struct {
	tree    *Tree
	read    []Source            // of all selectors, with those that are read raw
	lacking map[string][]Source // parts without what is needed, by what is said of them
}

// visit resolves the selectors below n. function is the one that a range vector, or
// a selector whose timestamps are asked for, is an argument of.
func (r *resolver) visit(n *Node, function string) {
	if n.Selector != nil {
		r.resolve(n, function)
		return
	}
	for _, child := range n.Children {
		inner := ""
		switch e := n.Expr.(type) {
		case *parser.ParenExpr, *parser.StepInvariantExpr:
			inner = function
		case *parser.Call:
			if child.Expr.Type() == parser.ValueTypeMatrix || OfTimestamps(e) != nil {
				inner = e.Func.Name
			}
		}
		r.visit(child, inner)
	}
}

// reading is a selector that is resolved.
type reading struct {
	node     *Node
	what     string // the function or the selector, for people
	able     bool   // windows answer it
	span     int64
	back     int64 // what a step looks at
	start    int64 // the time at which step 0 looks
	step     int64
	coarsest Coarsest
	parts    []Coverage // ascending; what lies between is raw
}

func (r *resolver) resolve(n *Node, function string) {
	s := n.Selector
	s.Resolution = Raw
	parts := within(r.tree.options.Coverage, s.Mint, s.Maxt)
	if !slices.ContainsFunc(parts, func(c Coverage) bool { return !c.Raw || len(c.Widths) > 0 }) || n.Grid.Count() == 0 {
		r.note(parts, nil)
		return
	}
	d := r.reading(n, function, parts)
	if !d.able {
		for _, c := range parts {
			if !c.Raw {
				r.lack(d.what+" cannot be answered in full", c)
			}
		}
		r.note(parts, nil)
		return
	}
	s.Pieces = d.pieces()
	var widths []int64
	for _, p := range s.Pieces {
		for _, from := range p.From {
			widths = append(widths, from.Width)
		}
		if len(p.From) == 0 {
			widths = append(widths, p.Width)
		}
	}
	slices.SortFunc(widths, func(a, b int64) int { return cmp.Compare(b, a) })
	var texts []string
	for _, w := range slices.Compact(widths) {
		texts = append(texts, widthText(w))
	}
	s.Resolution = Resolution(strings.Join(texts, "+"))
	for _, c := range parts {
		if w := d.width(c); w > 0 && !d.fits(w) {
			r.lack(fmt.Sprintf("%s is answered from windows of %s, which do not divide its step and range", d.what, widthText(w)), c)
		}
	}
	r.note(parts, s.Pieces)
}

// reading returns what there is to know about a selector.
func (r *resolver) reading(n *Node, function string, parts []Coverage) *reading {
	o, vs := &r.tree.options, n.Selector.Vector
	d := &reading{
		node: n, what: function, parts: parts, coarsest: o.Coarsest, back: o.Lookback,
		start: n.Grid.Start - vs.OriginalOffset.Milliseconds(), step: n.Grid.Step,
	}
	if vs.Timestamp != nil {
		d.start = *vs.Timestamp - vs.OriginalOffset.Milliseconds()
	}
	if m, ok := n.Expr.(*parser.MatrixSelector); ok {
		d.span = m.Range.Milliseconds()
		d.back = d.span
	}
	if d.what == "" {
		d.what = vs.String()
	}
	if n.Executor == Reference {
		d.what = "Prometheus's engine"
	}
	counter := function == "rate" || function == "increase"
	d.able = n.Executor == Columnar && (answerable[function] || function == "" && d.span == 0) &&
		!vs.Anchored && !vs.Smoothed && !(counter && o.StartTimestamps) &&
		!(vs.Timestamp != nil && (n.Grid.Count() > 1 || function == "timestamp"))
	return d
}

// within returns the parts that overlap [mint, maxt].
func within(parts []Coverage, mint, maxt int64) []Coverage {
	from := sort.Search(len(parts), func(i int) bool { return parts[i].Max >= mint })
	to := from + sort.Search(len(parts)-from, func(i int) bool { return parts[from+i].Min > maxt })
	return parts[from:to]
}

// fits reports whether windows of a width answer as asked for: their width divides
// the step and the range.
func (d *reading) fits(width int64) bool {
	switch {
	case Coarsest(width) > d.coarsest || d.span%width != 0:
		return false
	case d.node.Grid.Count() > 1:
		return d.step%width == 0
	}
	return d.span > 0 && (d.start%width == 0 || d.span >= alignedParts*width)
}

// width returns that of the windows which are read of a part, 0 for samples.
func (d *reading) width(c Coverage) int64 {
	for _, w := range slices.Backward(c.Widths) {
		if d.fits(w) {
			return w
		}
	}
	if c.Raw || len(c.Widths) == 0 {
		return 0
	}
	return c.Widths[0]
}

// pieces divides the steps by the widest windows that they look at. It returns nil
// if all look at samples.
func (d *reading) pieces() []Piece {
	grid := d.node.Grid
	var out []Piece
	for i := range grid.Count() {
		at, looks := grid.Start+int64(i)*grid.Step, d.start+int64(i)*d.step
		width := int64(0)
		for _, c := range within(d.parts, looks-d.back+1, looks) {
			width = max(width, d.width(c))
		}
		if n := len(out); n > 0 && out[n-1].Width == width {
			out[n-1].Grid.End = at
			continue
		}
		out = append(out, Piece{Grid: Grid{Start: at, End: at, Step: grid.Step}, Width: width})
	}
	if len(out) == 1 && out[0].Width == 0 {
		return nil
	}
	if len(out) > piecesMax {
		out = fewer(out)
	}
	for i := range out {
		d.fill(&out[i])
	}
	return out
}

// fewer unites the pieces between the first and the last that read windows.
func fewer(pieces []Piece) []Piece {
	windows := func(p Piece) bool { return p.Width > 0 }
	from := slices.IndexFunc(pieces, windows)
	to := len(pieces) - 1
	for !windows(pieces[to]) {
		to--
	}
	one := pieces[from]
	one.Grid.End = pieces[to].Grid.End
	for _, p := range pieces[from : to+1] {
		one.Width = max(one.Width, p.Width)
	}
	return slices.Concat(pieces[:from], []Piece{one}, pieces[to+1:])
}

// fill says what a piece reads.
func (d *reading) fill(p *Piece) {
	first := d.start + (p.Grid.Start - d.node.Grid.Start)
	if p.Width == 0 {
		p.Span = d.span
		return
	}
	last := first + p.Grid.last() - p.Grid.Start
	whole := func(span int64) int64 { return -floor(-span, p.Width) }
	p.Span = whole(d.span)
	p.Mint, p.Maxt = floor(first, p.Width)-whole(d.back)+1, floor(last, p.Width)
	for _, c := range within(d.parts, p.Mint, p.Maxt) {
		if w := d.width(c); w > 0 {
			p.From = addSource(p.From, Source{c.Min, c.Max, w})
		}
	}
}

// floor returns the last multiple of width at or before t.
func floor(t, width int64) int64 {
	if rest := t % width; rest < 0 {
		return t - rest - width
	} else {
		return t - rest
	}
}

// lack notes that a part has not what is needed.
func (r *resolver) lack(text string, c Coverage) {
	r.lacking[text] = addSource(r.lacking[text], Source{c.Min, c.Max, 0})
}

// note notes what is read of parts.
func (r *resolver) note(parts []Coverage, pieces []Piece) {
	for _, c := range parts {
		width := int64(0)
		for _, p := range pieces {
			for _, s := range p.From {
				if s.Min <= c.Min && s.Max >= c.Max {
					width = s.Width
				}
			}
		}
		if width > 0 || c.Raw {
			r.read = addSource(r.read, Source{c.Min, c.Max, width})
		}
	}
}

// infos tells what was read, if it is not samples alone.
func (r *resolver) infos() (texts []string) {
	var widths []int64
	for _, s := range r.read {
		widths = append(widths, s.Width)
	}
	slices.Sort(widths)
	widths = slices.Compact(widths)
	if len(widths) == 0 || len(widths) == 1 && widths[0] == 0 {
		return nil
	}
	for _, w := range slices.Backward(widths) {
		texts = append(texts, fmt.Sprintf("resolution %s for %s", widthText(w), spans(r.read, w)))
	}
	return texts
}

// warnings tells what could not be read.
func (r *resolver) warnings() (texts []string) {
	for _, text := range slices.Sorted(maps.Keys(r.lacking)) {
		texts = append(texts, text+": samples are gone for "+spans(r.lacking[text], -1))
	}
	return texts
}
