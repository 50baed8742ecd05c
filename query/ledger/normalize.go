package ledger

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// What values become, so that what is left is still PromQL.
const (
	anyNumber   = 1
	anyDuration = time.Second
	anyText     = "_"
)

// Normalize returns the text of expr, which it changes, with 1 in place of all
// numbers, 1s of all durations, @ 0 of all times, and "_" of all strings and label
// values but names of metrics.
func Normalize(expr parser.Expr) string {
	for stack := []parser.Node{expr}; len(stack) > 0; {
		node := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		normalizeNode(node)
		for child := range parser.ChildrenIter(node) {
			stack = append(stack, child)
		}
	}
	return expr.String()
}

func normalizeNode(node parser.Node) {
	switch n := node.(type) {
	case *parser.NumberLiteral:
		n.Val, n.Duration = anyNumber, false
	case *parser.StringLiteral:
		n.Val = anyText
	case *parser.VectorSelector:
		normalizeDuration(&n.OriginalOffset, &n.OriginalOffsetExpr)
		normalizeTime(n.Timestamp)
		for i, m := range n.LabelMatchers {
			if m.Name != labels.MetricName {
				// It is only printed: an expression need not be compiled.
				n.LabelMatchers[i] = &labels.Matcher{Type: m.Type, Name: m.Name, Value: anyText}
			}
		}
	case *parser.MatrixSelector:
		normalizeDuration(&n.Range, &n.RangeExpr)
	case *parser.SubqueryExpr:
		normalizeDuration(&n.Range, &n.RangeExpr)
		normalizeDuration(&n.Step, &n.StepExpr)
		normalizeDuration(&n.OriginalOffset, &n.OriginalOffsetExpr)
		normalizeTime(n.Timestamp)
	}
}

// normalizeDuration changes a duration that is there.
func normalizeDuration(d *time.Duration, expr **parser.DurationExpr) {
	if *d != 0 || *expr != nil {
		*d, *expr = anyDuration, nil
	}
}

func normalizeTime(t *int64) {
	if t != nil {
		*t = 0
	}
}
