package api

import (
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// object appends the members of a JSON object, which its user names in order.
type object struct {
	dst   []byte
	begun bool
}

func openObject(dst []byte) *object { return &object{dst: append(dst, '{')} }

func (o *object) close() []byte { return append(o.dst, '}') }

func (o *object) name(name string) *object {
	if o.begun {
		o.dst = append(o.dst, ',')
	}
	o.begun = true
	o.dst = append(appendString(o.dst, name, escapeHTML), ':')
	return o
}

func (o *object) text(name, value string) {
	o.name(name)
	o.dst = appendString(o.dst, value, escapeHTML)
}

func (o *object) list(name string, values []string) {
	o.name(name)
	o.dst = appendStrings(o.dst, values)
}

func (o *object) bool(name string, value bool) {
	o.name(name)
	o.dst = strconv.AppendBool(o.dst, value)
}

func (o *object) int(name string, value int64) {
	o.name(name)
	o.dst = strconv.AppendInt(o.dst, value, 10)
}

func (o *object) duration(name string, d time.Duration) { o.int(name, d.Milliseconds()) }

// pointer appends a number, or null.
func pointer[N int64 | float64](o *object, name string, value *N, number func([]byte, N) []byte) {
	o.name(name)
	if value == nil {
		o.dst = append(o.dst, "null"...)
		return
	}
	o.dst = number(o.dst, *value)
}

func appendInt64(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

func (o *object) tree(name string, node parser.Expr) {
	o.name(name)
	o.dst = appendTree(o.dst, node)
}

func (o *object) durationTree(name string, node *parser.DurationExpr) {
	o.name(name)
	if node == nil {
		o.dst = append(o.dst, "null"...)
		return
	}
	o.dst = appendDurationTree(o.dst, node)
}

// appendTree appends a syntax tree as JSON, members in order of their names.
func appendTree(dst []byte, node parser.Expr) []byte {
	if node == nil {
		return append(dst, "null"...)
	}
	o := openObject(dst)
	switch n := node.(type) {
	case *parser.AggregateExpr:
		o.tree("expr", n.Expr)
		o.list("grouping", n.Grouping)
		o.text("op", n.Op.String())
		o.tree("param", n.Param)
		o.text("type", "aggregation")
		o.bool("without", n.Without)
	case *parser.BinaryExpr:
		o.bool("bool", n.ReturnBool)
		o.tree("lhs", n.LHS)
		o.matching(n.VectorMatching)
		o.text("op", n.Op.String())
		o.tree("rhs", n.RHS)
		o.text("type", "binaryExpr")
	case *parser.Call:
		o.call(n)
	case *parser.MatrixSelector:
		if selector, ok := n.VectorSelector.(*parser.VectorSelector); ok {
			o.selector(selector, n)
		}
	case *parser.VectorSelector:
		o.selector(n, nil)
	case *parser.SubqueryExpr:
		o.subquery(n)
	case *parser.DurationExpr:
		return appendDurationTree(dst, n)
	case *parser.NumberLiteral:
		o.text("type", "numberLiteral")
		o.text("val", strconv.FormatFloat(n.Val, 'f', -1, 64))
	case *parser.StringLiteral:
		o.text("type", "stringLiteral")
		o.text("val", n.Val)
	case *parser.ParenExpr:
		o.tree("expr", n.Expr)
		o.text("type", "parenExpr")
	case *parser.UnaryExpr:
		o.tree("expr", n.Expr)
		o.text("op", n.Op.String())
		o.text("type", "unaryExpr")
	}
	return o.close()
}

func (o *object) matching(m *parser.VectorMatching) {
	o.name("matching")
	if m == nil {
		o.dst = append(o.dst, "null"...)
		return
	}
	in := openObject(o.dst)
	in.text("card", m.Card.String())
	in.name("fillValues")
	fill := openObject(in.dst)
	pointer(fill, "lhs", m.FillValues.LHS, appendNumber)
	pointer(fill, "rhs", m.FillValues.RHS, appendNumber)
	in.dst = fill.close()
	in.list("include", m.Include)
	in.list("labels", m.MatchingLabels)
	in.bool("on", m.On)
	o.dst = in.close()
}

func (o *object) call(n *parser.Call) {
	o.name("args")
	o.dst = append(o.dst, '[')
	for i, arg := range n.Args {
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		o.dst = appendTree(o.dst, arg)
	}
	o.dst = append(o.dst, ']')
	o.name("func")
	function := openObject(o.dst)
	types := make([]string, len(n.Func.ArgTypes))
	for i, t := range n.Func.ArgTypes {
		types[i] = string(t)
	}
	function.list("argTypes", types)
	function.text("name", n.Func.Name)
	function.text("returnType", string(n.Func.ReturnType))
	function.int("variadic", int64(n.Func.Variadic))
	o.dst = function.close()
	o.text("type", "call")
}

// selector appends an instant vector selector, or the range vector selector that
// it is a part of.
func (o *object) selector(n *parser.VectorSelector, in *parser.MatrixSelector) {
	o.bool("anchored", n.Anchored)
	o.matchers(n.LabelMatchers)
	o.text("name", n.Name)
	o.duration("offset", n.OriginalOffset)
	o.durationTree("offsetExpr", n.OriginalOffsetExpr)
	if in != nil {
		o.duration("range", in.Range)
		o.durationTree("rangeExpr", in.RangeExpr)
	}
	o.bool("smoothed", n.Smoothed)
	o.bound(n.StartOrEnd)
	pointer(o, "timestamp", n.Timestamp, appendInt64)
	if in != nil {
		o.text("type", "matrixSelector")
	} else {
		o.text("type", "vectorSelector")
	}
}

func (o *object) matchers(list []*labels.Matcher) {
	o.name("matchers")
	o.dst = append(o.dst, '[')
	for i, m := range list {
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		matcher := openObject(o.dst)
		matcher.text("name", m.Name)
		matcher.text("type", m.Type.String())
		matcher.text("value", m.Value)
		o.dst = matcher.close()
	}
	o.dst = append(o.dst, ']')
}

// bound appends which end of the range an @ modifier names, or null.
func (o *object) bound(item parser.ItemType) {
	if item == 0 {
		o.name("startOrEnd")
		o.dst = append(o.dst, "null"...)
		return
	}
	o.text("startOrEnd", item.String())
}

func (o *object) subquery(n *parser.SubqueryExpr) {
	o.tree("expr", n.Expr)
	o.duration("offset", n.OriginalOffset)
	o.durationTree("offsetExpr", n.OriginalOffsetExpr)
	o.duration("range", n.Range)
	o.durationTree("rangeExpr", n.RangeExpr)
	o.bound(n.StartOrEnd)
	o.duration("step", n.Step)
	o.durationTree("stepExpr", n.StepExpr)
	pointer(o, "timestamp", n.Timestamp, appendInt64)
	o.text("type", "subquery")
}

// appendDurationTree appends the tree of a duration that is an expression.
func appendDurationTree(dst []byte, node parser.Expr) []byte {
	switch n := node.(type) {
	case nil:
		return append(dst, "null"...)
	case *parser.DurationExpr:
		if n == nil {
			return append(dst, "null"...)
		}
		o := openObject(dst)
		o.name("lhs")
		o.dst = appendDurationTree(o.dst, n.LHS)
		o.text("op", n.Op.String())
		o.name("rhs")
		o.dst = appendDurationTree(o.dst, n.RHS)
		o.text("type", "durationExpr")
		o.bool("wrapped", n.Wrapped)
		return o.close()
	case *parser.NumberLiteral:
		o := openObject(dst)
		o.bool("duration", n.Duration)
		o.text("type", "numberLiteral")
		o.text("val", strconv.FormatFloat(n.Val, 'f', -1, 64))
		return o.close()
	default:
		return appendTree(dst, node)
	}
}
