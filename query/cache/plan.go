package cache

import (
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// Plan says what the result of an expression at a step depends on.
type Plan struct {
	// A step at t reads samples from t-Before to t+After, both in milliseconds,
	// if Moves is true.
	Moves         bool
	Before, After int64
	// All steps read samples from Earliest to Latest, if Stays is true.
	Stays            bool
	Earliest, Latest int64
	// Ordered says that results depend on the order of series, which is that of
	// labels as long as no selected series has a metadata label besides its name:
	// without these two of them may become one.
	Ordered bool
}

// NewPlan analyses an expression that promql.PreprocessExpr has prepared, and that
// is evaluated with names removed early. It returns nil if a step's result is not
// independent of the other steps, or cannot be proven to be.
func NewPlan(expr parser.Expr, lookback time.Duration) *Plan {
	a := analysis{plan: &Plan{}, lookback: lookback.Milliseconds()}
	a.visit(expr, scope{})
	if a.failed || !a.plan.Moves && !a.plan.Stays {
		return nil
	}
	return a.plan
}

// scope is when an expression is evaluated.
type scope struct {
	// from and to are relative to the step, or absolute if fixed is true.
	from, to int64
	fixed    bool
	once     bool // at the first step alone, for all
	inner    bool // at the steps of a subquery, which may be one
}

type analysis struct {
	plan     *Plan
	lookback int64
	failed   bool
}

func (a *analysis) visit(expr parser.Expr, s scope) {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		a.visit(e.Expr, s)
	case *parser.StepInvariantExpr:
		s.once = true
		a.visit(e.Expr, s)
	case *parser.UnaryExpr:
		a.visit(e.Expr, s)
	case *parser.NumberLiteral, *parser.StringLiteral:
	case *parser.BinaryExpr:
		a.visit(e.LHS, s)
		a.visit(e.RHS, s)
	case *parser.AggregateExpr:
		a.aggregate(e, s)
	case *parser.Call:
		a.call(e, s)
	case *parser.VectorSelector:
		a.selector(e, 0, s)
	case *parser.MatrixSelector:
		if e.RangeExpr != nil {
			a.failed = true
			return
		}
		a.selector(e.VectorSelector.(*parser.VectorSelector), e.Range, s)
	case *parser.SubqueryExpr:
		if e.StartOrEnd != 0 || e.RangeExpr != nil || e.StepExpr != nil || e.OriginalOffsetExpr != nil {
			a.failed = true
			return
		}
		s = s.at(e.Timestamp, e.OriginalOffset)
		s.from, s.inner = s.from-e.Range.Milliseconds(), true
		a.visit(e.Expr, s)
	default:
		a.failed = true
	}
}

// at returns the scope under an @ modifier, if there is one, and an offset.
func (s scope) at(timestamp *int64, offset time.Duration) scope {
	if timestamp != nil {
		s.from, s.to, s.fixed = *timestamp, *timestamp, true
	}
	s.from -= offset.Milliseconds()
	s.to -= offset.Milliseconds()
	return s
}

func (a *analysis) selector(e *parser.VectorSelector, window time.Duration, s scope) {
	if e.StartOrEnd != 0 || e.OriginalOffsetExpr != nil {
		a.failed = true
		return
	}
	s = s.at(e.Timestamp, e.OriginalOffset)
	if e.Timestamp != nil { // functions of timestamps overlook the offset
		s.from, s.to = min(s.from, *e.Timestamp), max(s.to, *e.Timestamp)
	}
	if s.once && !s.fixed {
		a.failed = true // what is evaluated once moves with the query
		return
	}
	// One lookback more than a window needs: anchored and smoothed ones read it.
	from, to := s.from-max(window.Milliseconds(), a.lookback)-a.lookback, s.to
	if e.Smoothed {
		to += a.lookback
	}
	p := a.plan
	switch {
	case s.fixed && p.Stays:
		p.Earliest, p.Latest = min(p.Earliest, from), max(p.Latest, to)
	case s.fixed:
		p.Stays, p.Earliest, p.Latest = true, from, to
	case p.Moves:
		p.Before, p.After = max(p.Before, -from), max(p.After, to)
	default:
		p.Moves, p.Before, p.After = true, -from, to
	}
}

func (a *analysis) call(e *parser.Call, s scope) {
	if e.Func.Name == "info" {
		a.failed = true // Prometheus's engine goes through maps
		return
	}
	if _, unsafe := promql.AtModifierUnsafeFunctions[e.Func.Name]; unsafe && s.once && !s.fixed {
		if e.Func.Name != "timestamp" || !isSelector(e.Args[0]) {
			a.failed = true
			return
		}
	}
	for _, arg := range e.Args {
		a.visit(arg, s)
	}
}

func isSelector(e parser.Expr) bool {
	_, ok := e.(*parser.VectorSelector)
	return ok
}

func (a *analysis) aggregate(e *parser.AggregateExpr, s scope) {
	a.visit(e.Expr, s)
	if e.Param != nil {
		a.visit(e.Param, s)
		a.parameter(e)
	}
	if !ordered(e.Op) || s.once {
		return
	}
	a.plan.Ordered = true
	if !steady(e.Expr) || s.inner && !plain(e.Expr) {
		a.failed = true
	}
}

// parameter refuses instants under an @ modifier in a parameter: from there
// Prometheus's engine goes on from step to step. It also refuses parameters that
// change where warnings tell their extremes over all steps.
func (a *analysis) parameter(e *parser.AggregateExpr) {
	parser.Inspect(e.Param, func(node parser.Node, _ []parser.Node) error {
		if vs, ok := node.(*parser.VectorSelector); ok && vs.Timestamp != nil {
			a.failed = true
		}
		return nil
	})
	if (e.Op == parser.QUANTILE || e.Op == parser.LIMIT_RATIO) && !constant(e.Param) {
		a.failed = true
	}
}

// constant reports whether an expression is a number.
func constant(expr parser.Expr) bool {
	switch e := expr.(type) {
	case *parser.NumberLiteral:
		return true
	case *parser.ParenExpr:
		return constant(e.Expr)
	case *parser.UnaryExpr:
		return constant(e.Expr)
	case *parser.StepInvariantExpr:
		return constant(e.Expr)
	}
	return false
}

// ordered reports whether the result of an aggregation depends on the order of the
// series: through rounding, the choice among equal ones, or the sign of zero.
func ordered(op parser.ItemType) bool {
	switch op {
	case parser.COUNT, parser.GROUP, parser.COUNT_VALUES, parser.LIMIT_RATIO:
		return false
	}
	return true
}

// steady reports whether the series of an expression, of those that have a point
// at a step, come in an order that does not depend on the other steps. Groups do
// not: they come in the order in which one of their series first has a point. Nor
// does what may merge series.
func steady(expr parser.Expr) bool {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return steady(e.Expr)
	case *parser.StepInvariantExpr, *parser.NumberLiteral, *parser.StringLiteral:
		return true
	case *parser.UnaryExpr:
		return steady(e.Expr)
	case *parser.VectorSelector:
		return named(e)
	case *parser.MatrixSelector:
		return steady(e.VectorSelector)
	case *parser.SubqueryExpr:
		return steady(e.Expr) && plain(e.Expr)
	case *parser.AggregateExpr:
		return steadyAggregate(e)
	case *parser.BinaryExpr:
		return steadyBinary(e)
	case *parser.Call:
		return steadyCall(e)
	}
	return false
}

// named reports whether a selector asks for one metric name.
func named(e *parser.VectorSelector) bool {
	for _, m := range e.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && m.Value != "" {
			return true
		}
	}
	return false
}

func steadyAggregate(e *parser.AggregateExpr) bool {
	switch e.Op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return steady(e.Expr)
	case parser.COUNT_VALUES:
		return false
	}
	return !e.Without && len(e.Grouping) == 0
}

func steadyBinary(e *parser.BinaryExpr) bool {
	left, right := e.LHS.Type() == parser.ValueTypeVector, e.RHS.Type() == parser.ValueTypeVector
	switch {
	case left && right:
		return (e.Op == parser.LAND || e.Op == parser.LUNLESS) && steady(e.LHS)
	case left:
		return steady(e.LHS)
	case right:
		return steady(e.RHS)
	}
	return true
}

func steadyCall(e *parser.Call) bool {
	switch e.Func.Name {
	case "label_replace", "label_join", "histogram_quantile", "histogram_quantiles", "histogram_fraction":
		return false
	case "absent", "absent_over_time", "scalar", "vector":
		return true
	}
	for _, arg := range e.Args {
		if t := arg.Type(); (t == parser.ValueTypeVector || t == parser.ValueTypeMatrix) && !steady(arg) {
			return false
		}
	}
	return true
}

// plain reports whether an expression of steps keeps the order of series also
// where there is only one step, as a subquery may have: then the operators that
// rank or group series order them otherwise.
func plain(expr parser.Expr) bool {
	simple := true
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch e := node.(type) {
		case *parser.AggregateExpr:
			simple = false
		case *parser.BinaryExpr:
			if e.LHS.Type() == parser.ValueTypeVector && e.RHS.Type() == parser.ValueTypeVector {
				simple = false
			}
		case *parser.Call:
			switch e.Func.Name {
			case "sort", "sort_desc", "sort_by_label", "sort_by_label_desc":
				simple = false
			}
		}
		return nil
	})
	return simple
}

// Steps returns the first and the last of the times from first to last, ascending,
// at which the result cannot have changed: nothing from changed on is as it was,
// and nothing before earliest is there any more. ok is false if there are none.
func (p *Plan) Steps(first, last, changed, earliest int64) (from, to int64, ok bool) {
	if p.Stays && (p.Latest >= changed || p.Earliest < earliest) {
		return 0, 0, false
	}
	from, to = first, last
	if p.Moves {
		if changed != math.MaxInt64 {
			to = min(to, plus(changed, -p.After-1))
		}
		if earliest != math.MinInt64 {
			from = max(from, plus(earliest, p.Before))
		}
	}
	return from, to, from <= to
}

// plus adds without overflow.
func plus(a, b int64) int64 {
	switch sum := a + b; {
	case b > 0 && sum < a:
		return math.MaxInt64
	case b < 0 && sum > a:
		return math.MinInt64
	default:
		return sum
	}
}
