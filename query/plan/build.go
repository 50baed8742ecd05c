package plan

import (
	"github.com/prometheus/prometheus/promql/parser"
)

// Options say how a query is evaluated.
type Options struct {
	// Lookback is how long a sample stands for its series, milliseconds.
	Lookback int64
	// SubqueryStep is the step of subqueries of a range (milliseconds) that name none.
	SubqueryStep func(rangeMillis int64) int64
	// Coverage is what storage keeps of the times that the query reads, ascending;
	// what is not in it are samples. Coarsest bounds the windows, to none at zero.
	Coverage []Coverage
	Coarsest Coarsest
	// StartTimestamps says that counters look at them.
	StartTimestamps bool
	// DelayedNames says that metric names are removed at the end of a query.
	DelayedNames bool
	// Refuses returns why an expression is left to the reference, or nothing.
	Refuses func(parser.Expr) string
	// Whole says why everything is left to the reference, if it is.
	Whole string
	// Without names rules that are not applied.
	Without []string
}

// Rule rewrites a tree.
type Rule struct {
	Name string
	// Rewrites says that it changes what is evaluated; the others find out about it.
	Rewrites bool
	// Apply returns a line for each change that a reader of the plan should know.
	Apply func(*Tree) []string
}

// Rules returns the rules in the order in which they are applied.
func Rules() []Rule {
	return []Rule{
		{"once", false, once},
		{"propagate", true, propagate},
		{"resolution", false, resolution},
		{"share", true, share},
	}
}

// Build returns the plan for an expression that promql.PreprocessExpr has prepared,
// to be evaluated on grid.
func Build(expr parser.Expr, grid Grid, options Options) *Tree {
	expr = clone(expr)
	resolve(expr)
	t := &Tree{options: options}
	if options.Whole == "" {
		t.Root = t.node(expr, grid, Columnar)
	} else {
		t.Root = t.node(expr, grid, Reference)
		t.Root.Why = options.Whole
	}
	for _, rule := range Rules() {
		if t.leavesOut(rule.Name) || rule.Rewrites && options.Whole != "" {
			continue
		}
		for _, what := range rule.Apply(t) {
			t.Applied = append(t.Applied, Applied{rule.Name, what})
		}
	}
	return t
}

func (t *Tree) leavesOut(rule string) bool {
	for _, name := range t.options.Without {
		if name == rule {
			return true
		}
	}
	return false
}

// resolve replaces what depends on the grid of the whole query by what it comes
// to, so that a part of the tree means the same by itself.
func resolve(expr parser.Expr) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			n.StartOrEnd, n.OriginalOffsetExpr = 0, nil
		case *parser.MatrixSelector:
			n.RangeExpr = nil
		case *parser.SubqueryExpr:
			n.StartOrEnd, n.OriginalOffsetExpr, n.RangeExpr, n.StepExpr = 0, nil, nil, nil
		}
		return nil
	})
}

// node returns the plan of expr; executor is its parent's.
func (t *Tree) node(expr parser.Expr, grid Grid, executor Executor) *Node {
	n := &Node{Expr: expr, Grid: grid, Executor: executor}
	switch e := expr.(type) {
	case *parser.ParenExpr:
		n.Kind = KindParentheses
		t.add(n, e.Expr, grid)
	case *parser.StepInvariantExpr:
		n.Kind = KindOnce
		if e.Expr.Type() != parser.ValueTypeMatrix {
			grid = grid.once()
		}
		t.add(n, e.Expr, grid)
	case *parser.NumberLiteral:
		n.Kind = KindNumber
	case *parser.StringLiteral:
		n.Kind = KindString
	case *parser.MatrixSelector:
		n.Kind = KindRange
		t.read(n, e.VectorSelector.(*parser.VectorSelector), e.Range.Milliseconds())
	case *parser.SubqueryExpr:
		n.Kind = KindSubquery
		t.add(n, e.Expr, t.subqueryGrid(e, grid))
	default:
		t.claim(n)
		t.operation(n)
	}
	return n
}

// claim decides who evaluates an operation.
func (t *Tree) claim(n *Node) {
	if n.Executor != Columnar || t.options.Refuses == nil {
		return
	}
	if n.Why = t.options.Refuses(n.Expr); n.Why != "" {
		n.Executor = Reference
	}
}

func (t *Tree) operation(n *Node) {
	switch e := n.Expr.(type) {
	case *parser.VectorSelector:
		n.Kind = KindSelector
		t.read(n, e, 0)
	case *parser.UnaryExpr:
		n.Kind = KindUnary
		t.add(n, e.Expr, n.Grid)
	case *parser.AggregateExpr:
		n.Kind = KindAggregate
		t.add(n, e.Expr, n.Grid)
		if e.Param != nil {
			t.add(n, e.Param, n.Grid)
		}
	case *parser.BinaryExpr:
		n.Kind = KindBinary
		t.add(n, e.LHS, n.Grid)
		t.add(n, e.RHS, n.Grid)
	case *parser.Call:
		n.Kind = KindCall
		if vs := OfTimestamps(e); vs != nil {
			// The call reads the selector itself: nobody is asked about it.
			child := &Node{Kind: KindSelector, Expr: vs, Grid: n.Grid, Executor: n.Executor}
			t.read(child, vs, 0)
			n.Children = append(n.Children, child)
			return
		}
		for _, arg := range e.Args {
			t.add(n, arg, n.Grid)
		}
	}
}

// OfTimestamps returns the selector whose samples' timestamps e is a function of,
// nil if it is none.
func OfTimestamps(e *parser.Call) *parser.VectorSelector {
	switch e.Func.Name {
	case "timestamp", "start_timestamp":
		vs, _ := e.Args[0].(*parser.VectorSelector)
		return vs
	}
	return nil
}

func (t *Tree) add(n *Node, child parser.Expr, grid Grid) {
	n.Children = append(n.Children, t.node(child, grid, n.Executor))
}

// read says what a selector reads: windows of span, or instants if that is 0.
func (t *Tree) read(n *Node, vs *parser.VectorSelector, span int64) {
	s := &Selector{Vector: vs}
	n.Selector = s
	first, last := n.Grid.Start, n.Grid.last()
	if vs.Timestamp != nil {
		first, last = *vs.Timestamp, *vs.Timestamp
	}
	offset, lookback := vs.OriginalOffset.Milliseconds(), t.options.Lookback
	back := span
	switch {
	case span == 0:
		back = lookback
	case vs.Anchored || vs.Smoothed:
		back += lookback
	}
	s.Mint, s.Maxt = first-offset-back+1, last-offset
	if vs.Smoothed {
		s.Maxt += lookback
	}
}

// subqueryGrid returns the steps of a subquery: multiples of its own step, as
// many as the windows of the outer grid need.
func (t *Tree) subqueryGrid(e *parser.SubqueryExpr, grid Grid) Grid {
	span, step := e.Range.Milliseconds(), e.Step.Milliseconds()
	if step == 0 {
		step = t.options.SubqueryStep(span)
	}
	if grid.Count() == 0 {
		return Grid{Start: grid.Start, End: grid.End, Step: step}
	}
	end := grid.last()
	offset := e.OriginalOffset.Milliseconds()
	if e.Timestamp != nil {
		offset += grid.Start - *e.Timestamp
		end = grid.Start
	}
	start := step * ((grid.Start - offset - span) / step)
	if start <= grid.Start-offset-span {
		start += step
	}
	return Grid{Start: start, End: end - offset, Step: step}
}
