package exec

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// countValues is count_values: a row for each value in each group.
type countValues struct {
	intake
	label   *parser.StringLiteral
	unnamed bool // the label with the value is one of those to remove
	at      map[valueKey]int32
	rows    []valueRow
}

// valueKey finds the row of a value: text is that of a histogram.
type valueKey struct {
	group int32
	bits  uint64
	text  string
}

// valueRow counts how often a value occurs at each step.
type valueRow struct {
	series int32 // one that has had the value
	value  string
	steps  []int32 // of the occurrences while they are few
	counts []float64
}

func newCountValues(in intake) *countValues {
	return &countValues{intake: in, label: in.expr.Param.(*parser.StringLiteral), at: map[valueKey]int32{}}
}

func (c *countValues) Grid() Grid { return c.grid }

func (c *countValues) Series(ctx context.Context) ([]Series, error) {
	if !model.UTF8Validation.IsValidLabelName(c.label.Val) {
		return nil, fmt.Errorf("invalid label name %s", c.label)
	}
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	c.regroup()
	if err := c.run(ctx, c.add); err != nil {
		return nil, err
	}
	out := make([]Series, len(c.rows))
	lb := labels.NewBuilder(labels.EmptyLabels())
	for i := range c.rows {
		row := &c.rows[i]
		lb.Reset(c.input[row.series].Labels)
		lb.Reset(lb.Set(c.label.Val, row.value).Labels())
		if c.expr.Without {
			lb.Del(c.names...)
		} else {
			lb.Keep(append(c.names, c.label.Val)...)
		}
		out[i].Labels = lb.Labels()
	}
	c.input, c.at = nil, nil
	return out, nil
}

// regroup makes groups of what the series have in common but for the label that
// gets the value.
func (c *countValues) regroup() {
	switch _, named := slices.BinarySearch(c.names, c.label.Val); {
	case c.expr.Without && named:
		c.unnamed = true
	case c.expr.Without:
		names := c.names
		c.names = append(slices.Clone(names), c.label.Val)
		slices.Sort(c.names)
		c.sizes, c.number = nil, nil
		c.group()
		c.names = names
	case named:
		c.names = slices.DeleteFunc(c.names, func(name string) bool { return name == c.label.Val })
		c.sizes, c.number, c.of = nil, nil, nil
		c.group()
	}
}

func (c *countValues) add(group, i int, row *Row, _ shape) error {
	last, lastRow := uint64(absentBits), int32(0)
	points := 0
	for step, v := range row.Floats {
		if IsAbsent(v) {
			if h := row.Histogram(step); h != nil {
				c.occurs(c.rowOf(valueKey{group: int32(group), text: h.String()}, i), step)
				points++
			}
			continue
		}
		if math.IsNaN(v) {
			v = math.NaN() // all are one
		}
		if bits := math.Float64bits(v); bits != last {
			last, lastRow = bits, c.rowOf(valueKey{group: int32(group), bits: bits}, i)
		}
		c.occurs(lastRow, step)
		points++
	}
	return c.hold((points + 3) / 4)
}

// rowOf returns the row of a value.
func (c *countValues) rowOf(key valueKey, i int) int32 {
	if c.unnamed {
		key.bits, key.text = 0, ""
	}
	at, ok := c.at[key]
	if !ok {
		at = int32(len(c.rows))
		c.at[key] = at
		value := key.text
		if value == "" {
			value = strconv.FormatFloat(math.Float64frombits(key.bits), 'f', -1, 64)
		}
		c.rows = append(c.rows, valueRow{series: int32(i), value: value})
	}
	return at
}

// occurs counts one occurrence.
func (c *countValues) occurs(at int32, step int) {
	r := &c.rows[at]
	if r.counts != nil {
		r.counts[step]++
		return
	}
	if r.steps = append(r.steps, int32(step)); 2*len(r.steps) >= c.steps {
		r.counts = r.count(c.steps)
		r.steps = nil
	}
}

// count turns occurrences into counts.
func (r *valueRow) count(steps int) []float64 {
	counts := make([]float64, steps)
	for _, step := range r.steps {
		counts[step]++
	}
	return counts
}

func (c *countValues) Run(ctx context.Context, each Each, sink Sink) error {
	defer c.release()
	return c.query.runRows(ctx, rowsOf{len(c.rows), c.steps, func(w *Worker, i int, row *Row) error {
		counts := c.rows[i].counts
		if counts == nil {
			counts = c.rows[i].count(c.steps)
		}
		row.Floats = w.Floats(c.steps)
		for step, n := range counts {
			row.Floats[step] = Absent
			if n > 0 {
				row.Floats[step] = n
			}
		}
		return nil
	}}, each, sink)
}
