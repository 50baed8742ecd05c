package plan

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Grid is the times at which a part is evaluated, in milliseconds.
type Grid struct {
	Start, End int64 // inclusive; the last step may lie before End
	Step       int64 // above 0
}

// Count returns the number of steps.
func (g Grid) Count() int {
	if g.End < g.Start {
		return 0
	}
	return int((g.End-g.Start)/g.Step) + 1
}

// last returns the time of the last step.
func (g Grid) last() int64 { return g.Start + int64(g.Count()-1)*g.Step }

// once returns the grid of the first step alone.
func (g Grid) once() Grid { return Grid{Start: g.Start, End: g.Start, Step: g.Step} }

// Kind is what a node does.
type Kind string

// The kinds of nodes, one for each kind of expression.
const (
	KindSelector    Kind = "selector"
	KindRange       Kind = "range selector"
	KindSubquery    Kind = "subquery"
	KindCall        Kind = "call"
	KindAggregate   Kind = "aggregation"
	KindBinary      Kind = "binary operation"
	KindUnary       Kind = "unary operation"
	KindNumber      Kind = "number"
	KindString      Kind = "string"
	KindParentheses Kind = "parentheses"
	// KindOnce evaluates its child at the first step and repeats the points.
	KindOnce Kind = "step-invariant"
)

// Executor is who evaluates a node.
type Executor string

// Columnar is package exec; Reference is Prometheus's engine, which takes whole
// subtrees.
const (
	Columnar  Executor = "columnar"
	Reference Executor = "reference"
)

// Node is a part of a query.
type Node struct {
	Kind Kind
	// Expr is the part's expression, rewritten.
	Expr parser.Expr
	// Children are the operands in the order in which they are written: of an
	// aggregation the vector, then the parameter; of a call all arguments.
	Children []*Node
	Executor Executor
	// Why says what keeps the topmost node of a subtree on the reference.
	Why string
	// Grid is the steps at which the node is evaluated.
	Grid Grid
	// Once says that the node and all below it do not depend on the step.
	Once bool
	// Shared numbers the nodes that are evaluated once for all of them, from 1.
	Shared int
	// Selector is what KindSelector and KindRange read.
	Selector *Selector
}

// Selector is what a selector reads.
type Selector struct {
	Vector *parser.VectorSelector
	// Mint and Maxt are the times between which samples are read, both inclusive.
	Mint, Maxt int64
	// Added are those matchers of Vector that a rule has added.
	Added []*labels.Matcher
	// Resolution of the samples that are read.
	Resolution Resolution
	// Pieces are the runs of steps that read in different ways, in order; nil if all
	// read samples.
	Pieces []Piece
}

// Applied is a change that a rule made.
type Applied struct{ Rule, What string }

// Tree is a query's plan.
type Tree struct {
	Root    *Node
	Applied []Applied
	// Infos say at which resolutions it reads, if not all are samples, Warnings what
	// of it cannot be had any more.
	Infos, Warnings []string
	options         Options
}

// Walk calls visit for n and all below it, parents first, until it returns false
// for one: then that one's children are left out.
func (n *Node) Walk(visit func(*Node) bool) {
	if !visit(n) {
		return
	}
	for _, child := range n.Children {
		child.Walk(visit)
	}
}

// Unwrap returns n without parentheses and step-invariant wrappers.
func (n *Node) Unwrap() *Node {
	for n.Kind == KindParentheses || n.Kind == KindOnce {
		n = n.Children[0]
	}
	return n
}
