package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// propagate gives the selectors of one side of an operation on two vectors the
// matchers of the other side's, for labels on which series that match agree: what
// does not pass them has no partner. It must not be missed either:
//   - An operation that is not about sets fails when the side that has to be
//     unique is not, as long as the other has any point. So that side must be
//     unique by construction, whichever side loses series.
//   - Operations between the selector and the vector must not annotate or fail
//     because of a series that is no longer there; any series may be a histogram.
//   - Fill values stand for partners that are missing.
func propagate(t *Tree) (lines []string) {
	t.Root.Walk(func(n *Node) bool {
		e, ok := n.Expr.(*parser.BinaryExpr)
		if n.Executor != Columnar {
			return false
		}
		if !ok || e.VectorMatching == nil {
			return true
		}
		toLeft, toRight := n.directions(e)
		left, right := n.Children[0].guaranteed(), n.Children[1].guaranteed()
		if toLeft {
			lines = append(lines, t.send(right, n.Children[0], e)...)
		}
		if toRight {
			lines = append(lines, t.send(left, n.Children[1], e)...)
		}
		return true
	})
	return lines
}

// directions says which sides of an operation may lose series without a partner.
func (n *Node) directions(e *parser.BinaryExpr) (left, right bool) {
	m := e.VectorMatching
	switch {
	case m.FillValues.LHS != nil || m.FillValues.RHS != nil:
		return false, false
	case e.Op == parser.LAND:
		return true, true
	case e.Op == parser.LUNLESS:
		return false, true
	case e.Op == parser.LOR:
		return false, false
	}
	one := n.Children[1]
	if m.Card == parser.CardOneToMany {
		one = n.Children[0]
	}
	unique := one.unique(m)
	return unique, unique
}

// send adds matchers for labels that e matches to the selectors below side.
func (t *Tree) send(ms []*labels.Matcher, side *Node, e *parser.BinaryExpr) (lines []string) {
	for _, m := range ms {
		if agreesOn(e.VectorMatching, m.Name) {
			lines = append(lines, t.push(m, side)...)
		}
	}
	return lines
}

// push adds m to the selectors whose series with another value of the label go
// through to n unchanged and unnoticed.
func (t *Tree) push(m *labels.Matcher, n *Node) []string {
	if n.Executor != Columnar {
		return nil
	}
	switch e := n.Expr.(type) {
	case *parser.VectorSelector, *parser.MatrixSelector:
		if vs := n.Selector.Vector; vs.Smoothed || vs.Anchored {
			return nil // they annotate series of floats and histograms
		}
		return n.Selector.add(m)
	case *parser.ParenExpr, *parser.StepInvariantExpr, *parser.SubqueryExpr:
		return t.push(m, n.Children[0])
	case *parser.UnaryExpr:
		if e.Op == parser.ADD || t.options.DelayedNames {
			return t.push(m, n.Children[0])
		}
	case *parser.Call:
		if t.silent(e) {
			return t.push(m, n.operand(e))
		}
	case *parser.AggregateExpr:
		if (e.Op == parser.COUNT || e.Op == parser.GROUP) && groupsBy(e, m.Name) {
			return t.push(m, n.Children[0])
		}
	case *parser.BinaryExpr:
		if e.Op == parser.LAND || e.Op == parser.LUNLESS {
			return t.push(m, n.Children[0])
		}
	}
	return nil
}

// silent reports whether a function keeps labels and has nothing to say about any
// series. Where names are removed at once, those that remove them fail on series
// that differ in nothing else.
func (t *Tree) silent(e *parser.Call) bool {
	switch e.Func.Name {
	case "last_over_time", "first_over_time":
		return true
	case "count_over_time", "present_over_time", "changes", "resets", "ts_of_first_over_time", "ts_of_last_over_time":
		return t.options.DelayedNames
	}
	return t.options.DelayedNames && rangeArgument(e) < 0 && keepsLabels(e) && !strings.HasPrefix(e.Func.Name, "sort")
}

// add adds a matcher that is not there yet.
func (s *Selector) add(m *labels.Matcher) []string {
	vs := s.Vector
	if slices.ContainsFunc(vs.LabelMatchers, func(have *labels.Matcher) bool { return have.String() == m.String() }) {
		return nil
	}
	before := vs.String()
	vs.LabelMatchers = append(vs.LabelMatchers, m)
	s.Added = append(s.Added, m)
	return []string{fmt.Sprintf("%s for %s", m, before)}
}
