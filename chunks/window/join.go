package window

import "math"

// Join adds the rows of next. Where both have a row of the same End, as two
// partitions have whose border a window lies across, the two become one as if the
// samples of the one had been appended to those of the other, in order of time; the
// sum may be rounded once more. Rows of late samples, which lie among those of the
// other, are joined too, but whether the values fell between them is not known then.
func (w *Windows) Join(next *Windows) {
	if next.Len() == 0 {
		return
	}
	if n := w.Len(); n > 0 && next.End[0] < w.End[n-1] {
		w.interleave(next, func(old *Windows, i, j int) {
			w.appendRows(old, i, i+1)
			w.joinRow(w.Len()-1, next, j)
		})
		return
	}
	w.open = false
	from := 0
	if n := w.Len(); n > 0 && w.End[n-1] == next.End[0] {
		w.joinRow(n-1, next, 0)
		from = 1
	}
	w.appendRows(next, from, next.Len())
}

// Prefer adds the rows of other, of which more or fewer samples may be known than of
// w's: of two rows of the same End the one of more samples stays.
func (w *Windows) Prefer(other *Windows) {
	w.interleave(other, func(old *Windows, i, j int) {
		if other.Count[j] >= old.Count[i] {
			w.appendRows(other, j, j+1)
		} else {
			w.appendRows(old, i, i+1)
		}
	})
}

// appendRows adds rows [from, to) of other behind the last one.
func (w *Windows) appendRows(other *Windows, from, to int) {
	w.open = false
	w.End = append(w.End, other.End[from:to]...)
	w.FirstTime = append(w.FirstTime, other.FirstTime[from:to]...)
	w.LastTime = append(w.LastTime, other.LastTime[from:to]...)
	w.Stale = append(w.Stale, other.Stale[from:to]...)
	others := other.values()
	for i, c := range w.values() {
		*c = append(*c, (*others[i])[from:to]...)
	}
}

// interleave merges the rows of two lists. both adds what becomes of row i of old,
// which is what w was, and row j of other, which have the same End.
func (w *Windows) interleave(other *Windows, both func(old *Windows, i, j int)) {
	old := *w
	*w = Windows{}
	for i, j := 0, 0; i < old.Len() || j < other.Len(); {
		switch {
		case j == other.Len() || i < old.Len() && old.End[i] < other.End[j]:
			w.appendRows(&old, i, i+1)
			i++
		case i == old.Len() || other.End[j] < old.End[i]:
			w.appendRows(other, j, j+1)
			j++
		default:
			both(&old, i, j)
			i, j = i+1, j+1
		}
	}
}

// joinRow joins row j of other, which has the same End, to row i.
func (w *Windows) joinRow(i int, other *Windows, j int) {
	switch {
	case other.Count[j] == 0:
		w.Stale[i] = staleAfter(w.LastTime[i], w.Count[i], w.Stale[i], other.Stale[j])
		return
	case w.Count[i] == 0:
		w.Stale[i] = staleAfter(other.LastTime[j], other.Count[j], w.Stale[i], other.Stale[j])
		w.FirstTime[i], w.LastTime[i] = other.FirstTime[j], other.LastTime[j]
		others := other.values()
		for k, c := range w.values() {
			(*c)[i] = (*others[k])[j]
		}
		return
	}
	w.Count[i] += other.Count[j]
	w.Sum[i] += other.Sum[j]
	if v := other.Min[j]; v < w.Min[i] || w.Min[i] != w.Min[i] {
		w.Min[i] = v
	}
	if v := other.Max[j]; v > w.Max[i] || w.Max[i] != w.Max[i] {
		w.Max[i] = v
	}
	// What fell between the two, if one is wholly before the other.
	switch {
	case w.LastTime[i] < other.FirstTime[j]:
		w.Correction[i] += fall(w.Last[i], other.First[j])
	case other.LastTime[j] < w.FirstTime[i]:
		w.Correction[i] += fall(other.Last[j], w.First[i])
	}
	w.Correction[i] += other.Correction[j]
	if other.FirstTime[j] < w.FirstTime[i] {
		w.FirstTime[i], w.First[i] = other.FirstTime[j], other.First[j]
	}
	if other.LastTime[j] > w.LastTime[i] {
		w.LastTime[i], w.Last[i] = other.LastTime[j], other.Last[j]
	}
	w.Stale[i] = staleAfter(w.LastTime[i], w.Count[i], w.Stale[i], other.Stale[j])
}

// fall is what a reset from before to after adds to an increase.
func fall(before, after float64) float64 {
	if after < before {
		return before
	}
	return 0
}

// staleAfter returns the first of two stale markers that lies behind the last of
// count samples; 0 if there is none.
func staleAfter(last int64, count float64, markers ...int64) int64 {
	first := int64(math.MaxInt64)
	for _, t := range markers {
		if t != 0 && (count == 0 || t > last) {
			first = min(first, t)
		}
	}
	if first == math.MaxInt64 {
		return 0
	}
	return first
}
