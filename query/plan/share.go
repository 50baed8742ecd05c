package plan

import (
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// share finds equal expressions on equal steps that read samples, and numbers
// them: each is evaluated once. A selector by itself is read again, which is no
// dearer than keeping what it read. Of expressions that contain each other the
// largest are shared; what is inside of the second and further ones is not looked
// at, since only the first is evaluated.
func share(t *Tree) (lines []string) {
	s := sharing{places: map[string][]*Node{}}
	s.visit(t.Root)
	number := 0
	for _, key := range s.keys {
		places := s.places[key]
		if len(places) < 2 {
			continue
		}
		number++
		for _, n := range places {
			n.Shared = number
		}
		lines = append(lines, fmt.Sprintf("%s is evaluated once for %d places", places[0].Expr, len(places)))
	}
	return lines
}

// sharing gathers the places of equal expressions.
type sharing struct {
	places map[string][]*Node
	keys   []string // in order of first sight
}

func (s *sharing) visit(n *Node) {
	if key := n.shareKey(); key != "" {
		s.places[key] = append(s.places[key], n)
		if len(s.places[key]) > 1 {
			return
		}
		s.keys = append(s.keys, key)
	}
	if n.Executor != Columnar {
		return
	}
	for _, child := range n.Children {
		s.visit(child)
	}
}

// shareKey returns what is equal for nodes that may be shared, nothing for others.
func (n *Node) shareKey() string {
	switch n.Kind {
	case KindCall, KindAggregate, KindBinary, KindUnary:
	default:
		return ""
	}
	switch n.Expr.Type() {
	case parser.ValueTypeMatrix, parser.ValueTypeString:
		return ""
	}
	if n.Grid.Count() == 0 {
		return ""
	}
	var key strings.Builder
	reads := false
	n.Walk(func(below *Node) bool {
		fmt.Fprintf(&key, "%s %d,", below.Kind, len(below.Children))
		if s := below.Selector; s != nil {
			reads = true
			// Whether the buckets of histograms are decoded is not printed.
			fmt.Fprintf(&key, "%t,", s.Vector.SkipHistogramBuckets)
		}
		return true
	})
	if !reads {
		return ""
	}
	fmt.Fprintf(&key, "%d %d %d %s", n.Grid.Start, n.Grid.End, n.Grid.Step, n.Expr)
	return key.String()
}
