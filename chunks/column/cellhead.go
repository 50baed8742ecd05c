package column

// CellHead is an open cell that is set aside, so that one CellReader with its
// scratch serves several cells in turn. The zero value is no cell.
type CellHead struct {
	src, whole []byte
	slices     []Slice
	entries    []cellEntry
	below      [belowPlaces]*integers
}

// Swap sets the open cell aside in h and takes up the one that was there.
func (r *CellReader) Swap(h *CellHead) {
	r.src, h.src = h.src, r.src
	r.whole, h.whole = h.whole, r.whole
	r.slices, h.slices = h.slices, r.slices
	r.entries, h.entries = h.entries, r.entries
	r.below, h.below = h.below, r.below
}

// FindFrom is Find for series that are looked up in ascending order: first is
// where the last search ended.
func (r *CellReader) FindFrom(first int, series uint32) (int, int) {
	const near = 4
	for i := first; i < len(r.entries) && i < first+near; i++ {
		if s := r.entries[i].series; s >= series {
			if i > 0 && r.entries[i-1].series >= series {
				break // it began before
			}
			end := i
			for end < len(r.entries) && r.entries[end].series == series {
				end++
			}
			return i, end
		}
	}
	return r.Find(series)
}
