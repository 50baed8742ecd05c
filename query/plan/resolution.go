package plan

// Resolution says which samples a selector reads.
type Resolution string

// Raw is the samples as they were written.
const Raw Resolution = "raw"

// resolution chooses the samples that selectors read. There is one kind.
func resolution(t *Tree) []string {
	t.Root.Walk(func(n *Node) bool {
		if n.Selector != nil {
			n.Selector.Resolution = Raw
		}
		return true
	})
	return nil
}
