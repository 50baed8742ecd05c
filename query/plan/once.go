package plan

// once marks what does not depend on the step. promql.PreprocessExpr has found and
// wrapped it; the wrapper's child has a grid of one step.
func once(t *Tree) (lines []string) {
	t.Root.Walk(func(n *Node) bool {
		if n.Kind != KindOnce {
			return true
		}
		n.Walk(func(below *Node) bool {
			below.Once = true
			return true
		})
		if n.Grid.Count() > 1 && n.Executor == Columnar {
			lines = append(lines, n.Expr.String()+" is evaluated at one step")
		}
		return false
	})
	return lines
}
