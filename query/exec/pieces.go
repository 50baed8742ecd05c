package exec

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/query/plan"
)

// piece computes a selector, or a function of one, at some of the steps.
type piece interface {
	Grid() Grid
	// begin returns the series, in the order of their labels, with their names.
	begin(ctx context.Context) ([]Series, error)
	// fill is a compute.
	fill(w *Worker, i int, row *Row) error
	close()
}

// pieced joins the pieces of a selector to rows.
type pieced struct {
	query  *Query
	grid   Grid
	pieces []piece
	// places are the numbers that a series has in the pieces, -1 for none.
	places [][]int32
	// output returns the series of the result.
	output func([]Series) []Series
}

func (p *pieced) Grid() Grid { return p.grid }

func (p *pieced) Series(ctx context.Context) ([]Series, error) {
	inputs := make([][]Series, len(p.pieces))
	for k, part := range p.pieces {
		var err error
		if inputs[k], err = part.begin(ctx); err != nil {
			return nil, err
		}
	}
	return p.output(p.unite(inputs)), nil
}

// unite merges the series of the pieces and sets places.
func (p *pieced) unite(inputs [][]Series) (out []Series) {
	next := make([]int, len(inputs))
	for {
		var least *labels.Labels
		for k, input := range inputs {
			if next[k] < len(input) && (least == nil || labels.Compare(input[next[k]].Labels, *least) < 0) {
				least = &input[next[k]].Labels
			}
		}
		if least == nil {
			return out
		}
		out = append(out, Series{Labels: *least})
		places := make([]int32, len(inputs))
		for k, input := range inputs {
			places[k] = -1
			if next[k] < len(input) && labels.Equal(input[next[k]].Labels, *least) {
				places[k] = int32(next[k])
				next[k]++
			}
		}
		p.places = append(p.places, places)
	}
}

func (p *pieced) Run(ctx context.Context, each Each, sink Sink) error {
	defer func() {
		for _, part := range p.pieces {
			part.close()
		}
	}()
	return p.query.runRows(ctx, rowsOf{len(p.places), p.grid.Count(), p.fill}, each, sink)
}

func (p *pieced) fill(w *Worker, i int, row *Row) error {
	if len(p.pieces) == 1 {
		return p.pieces[0].fill(w, int(p.places[i][0]), row)
	}
	first := 0
	for k, part := range p.pieces {
		n := part.Grid().Count()
		if at := p.places[i][k]; at >= 0 {
			var of Row
			if err := part.fill(w, int(at), &of); err != nil {
				return err
			}
			p.put(w, row, first, &of)
		}
		first += n
	}
	return nil
}

// put copies a piece's row into the whole, from step first on.
func (p *pieced) put(w *Worker, row *Row, first int, of *Row) {
	if of.Floats == nil {
		return
	}
	if row.Floats == nil {
		*row = w.Row(p.grid.Count())
	}
	copy(row.Floats[first:], of.Floats)
	if of.Histograms == nil {
		return
	}
	if row.Histograms == nil {
		row.Histograms = emptyHistograms(p.grid.Count())
	}
	copy(row.Histograms[first:], of.Histograms)
}

// instantPieces returns the operator for a selector of instants, of which some are
// read in windows.
func (b *builder) instantPieces(s *plan.Selector, grid Grid, take takes) Operator {
	p := &pieced{query: b.query, grid: grid}
	first := 0
	for _, of := range s.Pieces {
		raw := newInstant(b.query, s.Vector, Grid(of.Grid), take)
		raw.first = first
		first += of.Grid.Count()
		if p.output = raw.output; of.Width == 0 {
			p.pieces = append(p.pieces, raw)
			continue
		}
		p.pieces = append(p.pieces, &atWindows{windowed: &windowed{query: b.query, vs: s.Vector, of: of, raw: raw}, take: take})
	}
	return p
}

// rangePieces returns the operator for a function of a selector of ranges, of which
// some are read in windows.
func (b *builder) rangePieces(c rangeCall, s *plan.Selector, m *parser.MatrixSelector) Operator {
	p := &pieced{query: b.query, grid: c.grid}
	first := 0
	for _, of := range s.Pieces {
		part := c
		part.grid = Grid(of.Grid)
		raw := newOverSelector(b.query, part, m)
		raw.rangeFunction.first = first
		first += of.Grid.Count()
		if p.output = raw.output; of.Width == 0 {
			p.pieces = append(p.pieces, raw)
			continue
		}
		p.pieces = append(p.pieces, newOverWindows(&windowed{query: b.query, vs: s.Vector, of: of, raw: raw}, part, m.Range))
	}
	return p
}

// CountSeries returns how many series a selector finds in the index; windows and
// samples of one series at different times count once.
func (q *Query) CountSeries(ctx context.Context, s *plan.Selector) (int, error) {
	var p pieced
	var inputs [][]Series
	for _, of := range s.Pieces {
		if of.Width == 0 {
			continue
		}
		part := &windowed{query: q, vs: s.Vector, of: of}
		series, err := part.begin(ctx)
		if err != nil {
			return 0, err
		}
		inputs = append(inputs, series)
	}
	if q.Charge != nil {
		ctx = q.Charge(ctx, s.Vector)
	}
	set, err := q.From.Select(ctx, s.Mint, s.Maxt, s.Vector.LabelMatchers)
	if err != nil {
		return 0, err
	}
	if len(inputs) == 0 {
		return set.Len(), nil
	}
	raw := make([]Series, set.Len())
	for i := range raw {
		raw[i].Labels = set.Labels(i)
	}
	return len(p.unite(append(inputs, raw))), nil
}
