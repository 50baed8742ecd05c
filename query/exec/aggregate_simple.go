package exec

import "math"

// counts is count, and group, which asks only whether there are points.
type counts struct {
	in    *intake
	exist bool
	runs  []rowRun // of each group, what count does not have yet
	count groupColumns[float64]
}

func newCounts(in *intake, exist bool) *counts { return &counts{in: in, exist: exist} }

func (c *counts) add(group, _ int, row *Row, s shape) error {
	if group == len(c.runs) {
		c.runs = append(c.runs, rowRun{})
		c.count.grow(group, c.in.steps, len(c.in.number))
		if err := c.in.hold(c.in.steps); err != nil {
			return err
		}
	}
	run, count := &c.runs[group], c.count.of(group)
	if s.kind == shapeRun {
		if !run.takes(s) {
			run.move(count)
			run.takes(s)
		}
		return nil
	}
	for step, v := range row.Floats {
		if !IsAbsent(v) {
			count[step]++
		}
	}
	if s.kind == shapeMixed {
		for step, h := range row.Histograms {
			if h != nil {
				count[step]++
			}
		}
	}
	return nil
}

func (c *counts) finish(group int) (last int, err error) {
	last = -1
	count := c.count.of(group)
	c.runs[group].move(count)
	for step, n := range count {
		switch {
		case n == 0:
			count[step] = Absent
			continue
		case c.exist:
			count[step] = 1
		}
		last = step
	}
	return last, nil
}

func (c *counts) fill(_ *Worker, group int, row *Row) error {
	row.Floats = c.count.of(group)
	return nil
}

// lastPoint returns the last step at which a column has a point, -1 if none has.
func lastPoint(column []float64) int {
	for step := len(column) - 1; step >= 0; step-- {
		if !IsAbsent(column[step]) {
			return step
		}
	}
	return -1
}

// extremes is min and max.
type extremes struct {
	in     *intake
	max    bool
	groups int
	values groupColumns[float64]
}

func newExtremes(in *intake, largest bool) *extremes { return &extremes{in: in, max: largest} }

func (e *extremes) add(group, _ int, row *Row, s shape) error {
	if group == e.groups {
		e.groups++
		e.values.grow(group, e.in.steps, len(e.in.number))
		fillAbsent(e.values.of(group))
		if err := e.in.hold(e.in.steps); err != nil {
			return err
		}
	}
	if s.kind == shapeMixed {
		e.in.ignored()
	}
	if e.max {
		keepLargest(e.values.of(group), row.Floats)
	} else {
		keepSmallest(e.values.of(group), row.Floats)
	}
	return nil
}

// keepLargest puts the larger of values and row into values. Any point wins over
// NaN, and so over what is absent.
func keepLargest(values, row []float64) {
	values = values[:len(row)]
	for i, v := range row {
		if old := values[i]; old < v || math.IsNaN(old) && !IsAbsent(v) {
			values[i] = v
		}
	}
}

func keepSmallest(values, row []float64) {
	values = values[:len(row)]
	for i, v := range row {
		if old := values[i]; old > v || math.IsNaN(old) && !IsAbsent(v) {
			values[i] = v
		}
	}
}

func (e *extremes) finish(group int) (last int, err error) {
	return lastPoint(e.values.of(group)), nil
}

func (e *extremes) fill(_ *Worker, group int, row *Row) error {
	row.Floats = e.values.of(group)
	return nil
}

// deviations is stdvar and stddev, after Welford.
type deviations struct {
	in     *intake
	root   bool
	groups int
	count  groupColumns[float64]
	mean   groupColumns[float64]
	value  groupColumns[float64] // sum of squared distances from the mean
}

func newDeviations(in *intake, root bool) *deviations { return &deviations{in: in, root: root} }

func (d *deviations) add(group, _ int, row *Row, s shape) error {
	if group == d.groups {
		d.groups++
		for _, c := range []*groupColumns[float64]{&d.count, &d.mean, &d.value} {
			c.grow(group, d.in.steps, len(d.in.number))
		}
		if err := d.in.hold(2 * d.in.steps); err != nil {
			return err
		}
	}
	if s.kind == shapeMixed {
		d.in.ignored()
	}
	count, mean, value := d.count.of(group), d.mean.of(group), d.value.of(group)
	for step, v := range row.Floats {
		if IsAbsent(v) {
			continue
		}
		// The first point leaves 0, or NaN if it is not finite.
		count[step]++
		delta := v - mean[step]
		mean[step] += delta / count[step]
		value[step] += delta * (v - mean[step])
	}
	return nil
}

func (d *deviations) finish(group int) (last int, err error) {
	count, value := d.count.of(group), d.value.of(group)
	for step, n := range count {
		switch {
		case n == 0:
			value[step] = Absent
		case d.root:
			value[step] = math.Sqrt(value[step] / n)
		default:
			value[step] /= n
		}
	}
	return lastPoint(value), nil
}

func (d *deviations) fill(_ *Worker, group int, row *Row) error {
	row.Floats = d.value.of(group)
	return nil
}
