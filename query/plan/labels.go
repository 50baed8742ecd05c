package plan

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/schema"
)

// agreesOn reports whether two series that a vector matching pairs agree on a label.
func agreesOn(m *parser.VectorMatching, label string) bool {
	return !schema.IsMetadataLabel(label) && slices.Contains(m.MatchingLabels, label) == m.On
}

// keepsLabels reports whether a function's series have the labels of its first
// argument's, but for the name.
func keepsLabels(e *parser.Call) bool {
	switch e.Func.Name {
	case "abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "sin", "cos", "tan", "asin", "acos", "atan",
		"sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "rad", "deg", "round", "clamp", "clamp_min", "clamp_max",
		"timestamp", "start_timestamp", "histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar",
		"days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month", "year",
		"sort", "sort_desc", "sort_by_label", "sort_by_label_desc":
		return len(e.Args) > 0
	case "absent_over_time":
		return false
	}
	return rangeArgument(e) >= 0
}

// rangeArgument returns which argument is a range vector, -1 if none is.
func rangeArgument(e *parser.Call) int {
	return slices.IndexFunc(e.Args, func(arg parser.Expr) bool { return arg.Type() == parser.ValueTypeMatrix })
}

// operand returns the argument whose labels a call keeps.
func (n *Node) operand(e *parser.Call) *Node {
	if i := rangeArgument(e); i >= 0 {
		return n.Children[i]
	}
	return n.Children[0]
}

// groupsBy reports whether an aggregation's series have a label of the operand's.
func groupsBy(e *parser.AggregateExpr, label string) bool {
	return slices.Contains(e.Grouping, label) != e.Without
}

// picks reports whether an aggregation's series are some of its operand's.
func picks(op parser.ItemType) bool {
	switch op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return true
	}
	return false
}

// guaranteed returns matchers that the labels of all series of n pass.
func (n *Node) guaranteed() []*labels.Matcher {
	switch e := n.Expr.(type) {
	case *parser.VectorSelector, *parser.MatrixSelector:
		return without(n.Selector.Vector.LabelMatchers, schema.IsMetadataLabel)
	case *parser.ParenExpr, *parser.StepInvariantExpr, *parser.SubqueryExpr, *parser.UnaryExpr:
		return n.Children[0].guaranteed()
	case *parser.Call:
		switch {
		case keepsLabels(e):
			return n.operand(e).guaranteed()
		case e.Func.Name == "label_replace" || e.Func.Name == "label_join":
			set, ok := n.Children[1].Unwrap().Expr.(*parser.StringLiteral)
			if !ok {
				return nil
			}
			return without(n.Children[0].guaranteed(), func(label string) bool { return label == set.Val })
		}
	case *parser.AggregateExpr:
		ms := n.Children[0].guaranteed()
		switch {
		case picks(e.Op):
			return ms
		case e.Op == parser.COUNT_VALUES:
			return nil // it sets a label
		}
		return without(ms, func(label string) bool { return !groupsBy(e, label) })
	case *parser.BinaryExpr:
		return n.guaranteedOfBinary(e)
	}
	return nil
}

func (n *Node) guaranteedOfBinary(e *parser.BinaryExpr) []*labels.Matcher {
	lhs, rhs := n.Children[0], n.Children[1]
	m := e.VectorMatching
	unmatched := func(label string) bool { return !agreesOn(m, label) }
	switch {
	case m == nil && e.LHS.Type() == parser.ValueTypeVector:
		return lhs.guaranteed()
	case m == nil && e.RHS.Type() == parser.ValueTypeVector:
		return rhs.guaranteed()
	case m == nil || e.Op == parser.LOR || m.FillValues.LHS != nil || m.FillValues.RHS != nil:
		return nil
	case e.Op == parser.LUNLESS:
		return lhs.guaranteed()
	case e.Op == parser.LAND:
		return append(slices.Clip(lhs.guaranteed()), without(rhs.guaranteed(), unmatched)...)
	case m.Card == parser.CardOneToOne:
		return append(without(lhs.guaranteed(), unmatched), without(rhs.guaranteed(), unmatched)...)
	}
	many, one := lhs, rhs
	if m.Card == parser.CardOneToMany {
		many, one = rhs, lhs
	}
	ms := append(slices.Clip(many.guaranteed()), without(one.guaranteed(), unmatched)...)
	return without(ms, func(label string) bool { return slices.Contains(m.Include, label) })
}

// without returns the matchers of labels that drop does not name.
func without(ms []*labels.Matcher, drop func(label string) bool) (kept []*labels.Matcher) {
	for _, m := range ms {
		if !drop(m.Name) {
			kept = append(kept, m)
		}
	}
	return kept
}

// unique reports whether no two series of n at one step can be in the same match
// group. It knows those of aggregations by labels that are all matched.
func (n *Node) unique(m *parser.VectorMatching) bool {
	switch e := n.Expr.(type) {
	case *parser.ParenExpr, *parser.StepInvariantExpr:
		return n.Children[0].unique(m)
	case *parser.Call:
		return keepsLabels(e) && rangeArgument(e) < 0 && n.operand(e).unique(m)
	case *parser.AggregateExpr:
		if picks(e.Op) {
			return n.Children[0].unique(m)
		}
		return !e.Without && e.Op != parser.COUNT_VALUES &&
			!slices.ContainsFunc(e.Grouping, func(label string) bool { return !agreesOn(m, label) })
	case *parser.BinaryExpr:
		switch {
		case e.VectorMatching != nil:
			return false
		case e.LHS.Type() == parser.ValueTypeVector:
			return n.Children[0].unique(m)
		}
		return n.Children[1].unique(m)
	}
	return false
}
