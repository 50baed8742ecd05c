package plan

import (
	"fmt"
	"strings"
)

// String prints the tree, a node a line, below the changes that rules made.
func (t *Tree) String() string {
	var b strings.Builder
	for _, a := range t.Applied {
		fmt.Fprintf(&b, "%s: %s\n", a.Rule, a.What)
	}
	t.Root.print(&b, 0)
	return b.String()
}

func (n *Node) print(b *strings.Builder, depth int) {
	fmt.Fprintf(b, "%s%s  %s", strings.Repeat("  ", depth), n.Kind, n.Expr)
	if n.Executor == Reference {
		b.WriteString("  on the reference")
		if n.Why != "" {
			b.WriteString(": " + n.Why)
		}
	}
	if n.Once {
		b.WriteString("  once")
	}
	if n.Shared > 0 {
		fmt.Fprintf(b, "  shared %d", n.Shared)
	}
	fmt.Fprintf(b, "  at %d..%d/%d", n.Grid.Start, n.Grid.End, n.Grid.Step)
	if s := n.Selector; s != nil {
		fmt.Fprintf(b, "  reads %d..%d", s.Mint, s.Maxt)
		if s.Resolution != "" {
			fmt.Fprintf(b, " %s", s.Resolution)
		}
	}
	b.WriteByte('\n')
	for _, child := range n.Children {
		child.print(b, depth+1)
	}
}
