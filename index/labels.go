package index

import "github.com/varve-db/varve/series"

// labelsAtOnce is how many label sets are read while the table is locked.
const labelsAtOnce = 512

// EachLabels calls visit with the labels of each of refs, which are valid until it
// returns. The table is not locked meanwhile.
func (t *Table) EachLabels(refs []Ref, visit func(i int, ls series.Labels) error) error {
	var buffer []byte
	ends := make([]int, 0, min(labelsAtOnce, len(refs)))
	for from := 0; from < len(refs); from += labelsAtOnce {
		batch := refs[from:min(from+labelsAtOnce, len(refs))]
		buffer, ends = buffer[:0], ends[:0]
		t.mu.RLock()
		for _, ref := range batch {
			e := t.entry(ref)
			for _, id := range t.lists.get(e.labels, int(e.count)) {
				buffer = append(buffer, t.pairs.segment(id)...)
			}
			ends = append(ends, len(buffer))
		}
		t.mu.RUnlock()
		start := 0
		for i, end := range ends {
			if err := visit(from+i, buffer[start:end:end]); err != nil {
				return err
			}
			start = end
		}
	}
	return nil
}
