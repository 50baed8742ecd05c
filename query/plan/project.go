package plan

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// project finds which labels of each selector's series the operations above look
// at to form their results. Errors about series that differ in nothing else, and
// names in annotations, may need more: who reads fewer labels must see to those.
func project(t *Tree) []string {
	t.Root.project(nil)
	return nil
}

// project notes what selectors below n need; need is what is needed of n, nil if
// that is everything.
func (n *Node) project(need []string) {
	switch e := n.Expr.(type) {
	case *parser.VectorSelector, *parser.MatrixSelector:
		n.Selector.Labels = need
	case *parser.AggregateExpr:
		n.Children[0].project(ofAggregation(e, need))
		if len(n.Children) > 1 {
			n.Children[1].project([]string{})
		}
	case *parser.BinaryExpr:
		left, right := ofBinary(e, need)
		n.Children[0].project(left)
		n.Children[1].project(right)
	case *parser.Call:
		for _, child := range n.Children {
			child.project(ofCall(e, need))
		}
	default:
		for _, child := range n.Children {
			child.project(need)
		}
	}
}

// ofAggregation returns what an aggregation needs of its operand.
func ofAggregation(e *parser.AggregateExpr, need []string) []string {
	switch {
	case e.Without || e.Op == parser.LIMIT_RATIO:
		return nil
	case picks(e.Op):
		return both(need, e.Grouping)
	}
	return both([]string{}, e.Grouping)
}

// ofBinary returns what an operation needs of its operands.
func ofBinary(e *parser.BinaryExpr, need []string) (left, right []string) {
	m := e.VectorMatching
	switch {
	case m == nil:
		return need, need
	case !m.On:
		return nil, nil
	case e.Op == parser.LOR:
		return both(need, m.MatchingLabels), both(need, m.MatchingLabels)
	case e.Op == parser.LAND || e.Op == parser.LUNLESS:
		return both(need, m.MatchingLabels), both([]string{}, m.MatchingLabels)
	case m.Card == parser.CardOneToOne:
		return both([]string{}, m.MatchingLabels), both([]string{}, m.MatchingLabels)
	}
	many := both(need, m.MatchingLabels)
	one := both(both([]string{}, m.MatchingLabels), m.Include)
	if m.Card == parser.CardOneToMany {
		return one, many
	}
	return many, one
}

// ofCall returns what a function needs of its arguments.
func ofCall(e *parser.Call, need []string) []string {
	switch e.Func.Name {
	case "absent", "absent_over_time", "scalar":
		return []string{}
	case "histogram_quantile", "histogram_quantiles", "histogram_fraction":
		return both(need, []string{model.BucketLabel})
	}
	if e.Func.Name != "sort_by_label" && e.Func.Name != "sort_by_label_desc" && keepsLabels(e) {
		return need
	}
	return nil
}

// both returns the labels of a and b in order; all if a is.
func both(a, b []string) []string {
	if a == nil {
		return nil
	}
	out := append(append(make([]string, 0, len(a)+len(b)), a...), b...)
	slices.Sort(out)
	return slices.Compact(out)
}
