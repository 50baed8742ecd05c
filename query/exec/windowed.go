package exec

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	aggregates "github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/query/exec/window"
	"github.com/varve-db/varve/query/plan"
)

// windowed reads a selector's windows for a piece of its steps.
type windowed struct {
	query  *Query
	vs     *parser.VectorSelector
	of     plan.Piece
	set    WindowSelection
	ctx    context.Context // charges reads to the selector
	reader perWorker[WindowReader]
	bounds perWorker[window.Bounds]

	// raw computes the piece from samples, for series with histograms: windows do
	// not tell of these.
	raw    piece
	opened sync.Once
	failed error
	places map[uint64]int // of series in raw, by the hash of their labels
}

func (p *windowed) Grid() Grid { return Grid(p.of.Grid) }

func (p *windowed) begin(ctx context.Context) ([]Series, error) {
	if p.query.Charge != nil {
		ctx = p.query.Charge(ctx, p.vs)
	}
	p.ctx = ctx
	var err error
	read := WindowRead{Mint: p.of.Mint, Maxt: p.of.Maxt, Width: p.of.Width, From: p.of.From}
	if p.set, err = p.query.Windows.From.SelectWindows(ctx, read, p.vs.LabelMatchers); err != nil {
		return nil, storageError(ctx, err)
	}
	series := make([]Series, p.set.Len())
	for i := range series {
		series[i].Labels = p.set.Labels(i)
	}
	return series, nil
}

func (p *windowed) close() {
	for i, r := range p.reader {
		if r != nil {
			r.Close()
			p.reader[i] = nil
		}
	}
	p.raw.close()
}

// read returns the windows of series i; histograms says that the series is to be
// read raw.
func (p *windowed) read(w *Worker, i int) (rows *aggregates.Windows, histograms bool, err error) {
	r := p.reader[w.ID]
	if r == nil {
		r = p.set.Reader()
		p.reader[w.ID] = r
	}
	rows, histograms, err = r.Read(p.ctx, i)
	if err != nil {
		if end := ended(p.ctx); end != nil {
			return nil, false, end
		}
		return nil, false, err
	}
	if !histograms {
		p.query.progress.windows.Add(int64(rows.Len()))
	}
	return rows, histograms, nil
}

// locate finds which of the windows that end at ends the steps look at.
func (p *windowed) locate(w *Worker, ends []int64, back int64) *window.Bounds {
	b := &p.bounds[w.ID]
	s := selection{vs: p.vs, grid: p.Grid(), span: p.of.Span}
	b.Start, b.Step = s.reference()
	b.Range, b.Width = back, p.of.Width
	b.SetWindows(ends, p.of.Grid.Count())
	return b
}

// fillRaw fills the row of series i from its samples.
func (p *windowed) fillRaw(w *Worker, i int, row *Row) error {
	p.opened.Do(func() {
		var series []Series
		series, p.failed = p.raw.begin(p.ctx)
		p.places = make(map[uint64]int, len(series))
		for k, s := range series {
			p.places[s.Labels.Hash()] = k
		}
	})
	if p.failed != nil {
		return p.failed
	}
	at, ok := p.places[p.set.Labels(i).Hash()]
	if !ok {
		return nil
	}
	return p.raw.fill(w, at, row)
}

// atWindows is a selector of instants that reads windows: the newest sample at or
// before a step is the last of the window.
type atWindows struct {
	*windowed
	take takes
}

func (s *atWindows) fill(w *Worker, i int, row *Row) error {
	rows, histograms, err := s.read(w, i)
	if err != nil {
		return err
	}
	if histograms {
		return s.fillRaw(w, i, row)
	}
	if rows.Len() == 0 {
		return nil
	}
	*row = w.Row(s.of.Grid.Count())
	b := s.locate(w, rows.End, s.of.Maxt-s.of.Mint+1)
	for step, to := range b.To {
		if b.From[step] == to {
			continue
		}
		at := to - 1
		if rows.Stale[at] != 0 || rows.Count[at] == 0 || rows.LastTime[at] <= b.AsOf(step)-s.query.Lookback {
			continue
		}
		if row.Floats[step] = rows.Last[at]; s.take == takesTime {
			row.Floats[step] = float64(rows.LastTime[at]) / 1000
		}
		s.query.count(s.first()+step, 1)
	}
	return nil
}

// first returns the number that step 0 has in the whole selector.
func (s *atWindows) first() int { return s.raw.(*instant).first }

// overWindows is a function of a range vector that reads windows.
type overWindows struct {
	*windowed
	function *rangeFunction
	rollup   window.Rollup
	counted  perWorker[aggregates.Windows]
}

func newOverWindows(p *windowed, c rangeCall, span time.Duration) *overWindows {
	f := newRangeFunction(p.query, c, p.vs, span)
	f.first, f.counted, f.argument = p.raw.(*overSelector).rangeFunction.first, true, c.Args[0].PositionRange()
	return &overWindows{windowed: p, function: f, rollup: window.FindRollup(c.Func.Name)}
}

func (s *overWindows) begin(ctx context.Context) ([]Series, error) {
	series, err := s.windowed.begin(ctx)
	s.function.output(series)
	return series, err
}

func (s *overWindows) fill(w *Worker, i int, row *Row) error {
	rows, histograms, err := s.read(w, i)
	if err != nil {
		return err
	}
	if histograms {
		return s.fillRaw(w, i, row)
	}
	if rows = window.Counted(&s.counted[w.ID], rows); rows.Len() == 0 {
		return nil
	}
	b := s.locate(w, rows.End, s.of.Span)
	row.Floats = w.Floats(s.of.Grid.Count())
	sc := s.function.scratchOf(w)
	s.rollup(row.Floats, rows, b, &sc.scratch)
	s.scale(row.Floats)
	s.function.countWindows(b)
	s.function.noteCounter(sc, i, row)
	return nil
}

// scale makes what adds up over time that of the range, where that is not of whole
// windows.
func (s *overWindows) scale(values []float64) {
	if s.of.Span == s.function.span {
		return
	}
	switch s.function.call.Func.Name {
	case "sum_over_time", "count_over_time", "increase", "delta":
		for i := range values {
			if !IsAbsent(values[i]) {
				values[i] *= float64(s.function.span) / float64(s.of.Span)
			}
		}
	}
}
