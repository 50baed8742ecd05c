package chunks

import (
	"slices"
	"sort"

	"github.com/varve-db/varve/chunks/column"
)

// Remove takes the samples with times in [mint, maxt] out, and returns how many
// there were. A histogram after the gap does not know any more whether a counter
// was reset.
func (c *Columns) Remove(mint, maxt int64) int {
	removed := 0
	if from, to := c.Within(mint, maxt); from < to {
		removed = to - from
		c.Times, c.Values = slices.Delete(c.Times, from, to), slices.Delete(c.Values, from, to)
		if len(c.Starts) > 0 {
			c.Starts = slices.Delete(c.Starts, from, to)
		}
		c.Every, c.First, c.Known = 0, 0, column.Facts{}
	}
	h := c.Histograms
	from := sort.Search(len(h), func(i int) bool { return h[i].Time >= mint })
	to := sort.Search(len(h), func(i int) bool { return h[i].Time > maxt })
	if from < to {
		removed += to - from
		c.Histograms = slices.Delete(h, from, to)
	}
	if removed > 0 && from < len(c.Histograms) {
		c.Histograms[from].Histogram = withUnknownReset(c.Histograms[from].Histogram)
	}
	return removed
}
