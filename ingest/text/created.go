package text

import (
	"bytes"

	"github.com/varve-db/varve/series"
)

// created gives samples their start timestamps. OpenMetrics tells them in a
// series of its own, among those of the same metric: before, between or, mostly,
// behind them.
type created struct {
	active bool   // the family at hand may have them
	seen   bool   // and has had some, or nobody knows yet
	group  []byte // the labels of the metric at hand; empty: none
	at     []byte // those of the line at hand
	from   int    // where in the batch its samples without a start begin
	start  int64  // of the metric; 0: not known
	length int    // of the batch after the last line, to notice when it starts anew
}

func (c *created) begin() {
	c.enter(false)
	c.length = 0
}

// enter begins a family.
func (c *created) enter(active bool) {
	c.active, c.seen, c.group, c.start = active, active, c.group[:0], 0
}

func (c *created) open() bool { return c.active && c.seen && len(c.group) > 0 && c.start == 0 }

// leave ends the metric at hand.
func (c *created) leave() { c.group, c.start = c.group[:0], 0 }

// meet makes the metric with those labels the one at hand. Labels that tell
// apart the series of one metric do not count.
func (c *created) meet(dst *series.Batch, list []label, apart string) {
	if !c.active {
		return
	}
	if len(dst.Timestamps) != c.length {
		c.from = 0
	}
	c.at = append(c.at[:0], 0xff) // never empty
	for _, l := range list {
		if string(l.name) != apart {
			c.at = append(append(c.at, l.name...), 0xff)
			c.at = append(append(c.at, l.value...), 0xff)
		}
	}
	if bytes.Equal(c.at, c.group) {
		return
	}
	if len(c.group) > 0 && c.start == 0 {
		c.seen = false // this family has none
	}
	c.group, c.at = c.at, c.group
	c.from, c.start = len(dst.Timestamps), 0
}

// set gives the samples of the metric at hand, and those to come, their start.
func (c *created) set(dst *series.Batch, start int64) {
	c.start, c.seen = start, true
	if c.from == len(dst.Timestamps) {
		return
	}
	for len(dst.Starts) < len(dst.Timestamps) {
		dst.Starts = append(dst.Starts, 0)
	}
	for i := c.from; i < len(dst.Starts); i++ {
		dst.Starts[i] = start
	}
	c.from = len(dst.Timestamps)
}
