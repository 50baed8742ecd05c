package query

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// shrinkTime bounds how long each part of a disagreement is made smaller.
const shrinkTime = 8 * time.Second

// shrinkQuery makes the text of r shorter while differs holds.
func shrinkQuery(p parser.Parser, r Request, differs func(Request) bool) Request {
	until := time.Now().Add(shrinkTime)
	for smaller := true; smaller && time.Now().Before(until); {
		smaller = false
		for k := 0; time.Now().Before(until); k++ {
			text, more := edited(p, r.Query, k)
			if !more {
				break
			}
			try := r
			try.Query = text
			if _, err := p.ParseExpr(text); err != nil || text == r.Query || !differs(try) {
				continue
			}
			r, smaller = try, true
			break
		}
	}
	return r
}

// edited returns text after its k-th edit; more is false if there are fewer.
func edited(p parser.Parser, text string, k int) (_ string, more bool) {
	root, err := p.ParseExpr(text)
	if err != nil {
		return "", false
	}
	all := edits(&root)
	if k >= len(all) {
		return "", false
	}
	all[k]()
	return root.String(), true
}

// edits returns what makes an expression simpler, great steps first.
func edits(root *parser.Expr) []func() {
	var out []func()
	slots := slotsOf(root)
	for _, slot := range slots {
		for _, below := range slotsOf(slot)[1:] {
			if (*below).Type() == (*slot).Type() {
				out = append(out, func() { *slot = *below })
			}
		}
	}
	for _, slot := range slots {
		out = append(out, simplifications(slot)...)
	}
	return out
}

// slotsOf returns where the expressions of a tree hang, the root's first.
func slotsOf(slot *parser.Expr) []*parser.Expr {
	out := []*parser.Expr{slot}
	add := func(child *parser.Expr) {
		if *child != nil {
			out = append(out, slotsOf(child)...)
		}
	}
	switch e := (*slot).(type) {
	case *parser.AggregateExpr:
		add(&e.Expr)
		add(&e.Param)
	case *parser.BinaryExpr:
		add(&e.LHS)
		add(&e.RHS)
	case *parser.Call:
		for i := range e.Args {
			add(&e.Args[i])
		}
	case *parser.SubqueryExpr:
		add(&e.Expr)
	case *parser.ParenExpr:
		add(&e.Expr)
	case *parser.UnaryExpr:
		add(&e.Expr)
	case *parser.MatrixSelector:
		add(&e.VectorSelector)
	}
	return out
}

// simplifications are edits of one node.
func simplifications(slot *parser.Expr) []func() {
	switch e := (*slot).(type) {
	case *parser.VectorSelector:
		return []func(){
			func() { e.OriginalOffset, e.OriginalOffsetExpr, e.Timestamp, e.StartOrEnd = 0, nil, nil, 0 },
			func() { e.OriginalOffset, e.OriginalOffsetExpr = 0, nil },
			func() { e.Timestamp, e.StartOrEnd = nil, 0 },
			func() { e.Anchored, e.Smoothed = false, false },
			func() { e.LabelMatchers = []*labels.Matcher{e.LabelMatchers[0]} },
		}
	case *parser.SubqueryExpr:
		return []func(){
			func() { e.OriginalOffset, e.OriginalOffsetExpr, e.Timestamp, e.StartOrEnd = 0, nil, nil, 0 },
			func() { e.OriginalOffset, e.OriginalOffsetExpr = 0, nil },
			func() { e.Timestamp, e.StartOrEnd = nil, 0 },
		}
	case *parser.AggregateExpr:
		return []func(){func() { e.Grouping, e.Without = nil, false }, func() { e.Grouping = e.Grouping[:len(e.Grouping)/2] }}
	case *parser.BinaryExpr:
		out := []func(){func() { e.ReturnBool = false }}
		if m := e.VectorMatching; m != nil {
			out = append(out, func() { m.FillValues = parser.VectorMatchFillValues{} }, func() { m.Include = nil }, func() { m.MatchingLabels = nil })
		}
		return out
	case *parser.Call, *parser.UnaryExpr, *parser.ParenExpr:
		if (*slot).Type() == parser.ValueTypeScalar {
			return []func(){func() { *slot = &parser.NumberLiteral{Val: 1} }}
		}
	}
	return nil
}

// shrinkTimes asks for fewer steps while differs holds.
func shrinkTimes(r Request, differs func(Request) bool) Request {
	if r.Step == 0 {
		return r
	}
	until := time.Now().Add(shrinkTime)
	for at := r.Start; !at.After(r.End) && time.Now().Before(until); at = at.Add(r.Step) {
		try := r
		try.Start, try.End, try.Step = at, at, 0
		if differs(try) {
			return try
		}
	}
	for smaller := true; smaller && time.Now().Before(until); {
		smaller = false
		for _, n := range []int{32, 8, 2, 1} {
			by := time.Duration(n) * r.Step
			for _, try := range []Request{{Start: r.Start.Add(by), End: r.End}, {Start: r.Start, End: r.End.Add(-by)}} {
				whole := r
				whole.Start, whole.End = try.Start, try.End
				if !whole.End.Before(whole.Start) && differs(whole) {
					r, smaller = whole, true
				}
			}
		}
	}
	return r
}

// shrinkWorld leaves out series and samples while differs holds.
func shrinkWorld(w *world, differs func(*world) bool) *world {
	until := time.Now().Add(shrinkTime)
	var kept []*worldSeries
	w = w.with(w.series)
	for part := (len(w.series) + 1) / 2; part > 0; part /= 2 {
		for i := 0; i < len(w.series) && time.Now().Before(until); {
			kept = append(append(kept[:0:0], w.series[:i]...), w.series[min(i+part, len(w.series)):]...)
			if try := w.with(kept); differs(try) {
				w = try
				continue
			}
			i += part
		}
	}
	for k := range w.series {
		for part := (len(w.series[k].samples) + 1) / 2; part > 0; part /= 2 {
			for i := 0; i < len(w.series[k].samples) && time.Now().Before(until); {
				s := w.series[k]
				less := &worldSeries{labels: s.labels, samples: append(append([]worldSample(nil), s.samples[:i]...), s.samples[min(i+part, len(s.samples)):]...)}
				try := w.with(append([]*worldSeries(nil), w.series...))
				try.series[k] = less
				if differs(try) {
					w = try
					continue
				}
				i += part
			}
		}
	}
	return w
}

// with returns the world with other series.
func (w *world) with(series []*worldSeries) *world {
	out := *w
	out.series = series
	return &out
}
