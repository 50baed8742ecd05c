package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/series/jsonl"
)

// The bounds of how many samples a line of an export holds.
const (
	exportRows    = 100_000 // unless the request says
	exportRowsMax = 1_000_000
)

// headerSkipped says, in an export's header or trailer, how many native histogram
// samples were left out: the format has no place for them.
const headerSkipped = "X-Varve-Histograms-Skipped"

// export writes the samples of series as JSON lines, as VictoriaMetrics does. It
// takes part in the engine's admission, and not in its deadline: what is exported
// may be all there is.
func (a *API) export(ctx context.Context, c *call) error {
	if err := c.params.wellFormed(); err != nil {
		return err
	}
	if format := c.params.get("format"); format != "" {
		return badData(fmt.Errorf("export has the format of JSON lines alone, not %q", format))
	}
	l, err := a.lookup(c.params, func(err error) error { return invalidParam("match[]", err) })
	if err != nil {
		return err
	}
	if len(l.selectors) == 0 {
		return badData(errors.New("no match[] parameter provided"))
	}
	e := &exported{ended: ctx.Err}
	if e.rows, err = exportedRows(c.params); err != nil {
		return err
	}
	_, _, leave, err := a.deps.Engine.Admit(ctx, 0)
	if err != nil {
		return err
	}
	c.atEnd(leave)
	budget := query.NewBudget(0, int64(a.options.ListMax))
	q, err := query.Limited(c.from.Queryable, budget).Querier(milliseconds(l.start), milliseconds(l.end))
	if err != nil {
		return ofStorage(err)
	}
	c.atEnd(func() { _ = q.Close() })
	hints := &storage.SelectHints{Start: milliseconds(l.start), End: milliseconds(l.end)}
	sets := make([]storage.SeriesSet, 0, len(l.selectors))
	for _, selector := range l.selectors {
		sets = append(sets, q.Select(ctx, true, hints, selector...))
	}
	e.set = sets[0]
	if len(sets) > 1 {
		e.set = storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
	}
	c.http.SetContentType("application/stream+json; charset=utf-8")
	header := &c.http.Response.Header
	e.finish = func(skipped int) { header.Set(headerSkipped, strconv.Itoa(skipped)) }
	if err := c.send(e); err != nil {
		return ofStorage(err)
	}
	if !e.done { // the rest is sent in chunks, and the number after them
		return header.AddTrailer(headerSkipped)
	}
	return nil
}

// exportedRows reads how many samples a line may hold.
func exportedRows(p *params) (int, error) {
	s := p.get("max_rows_per_line")
	if s == "" {
		return exportRows, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, invalidParam("max_rows_per_line", errors.New("it must be a number of samples"))
	}
	if n == 0 {
		return exportRows, nil
	}
	return min(n, exportRowsMax), nil
}

// exported is the source of an export.
type exported struct {
	set    storage.SeriesSet
	rows   int // samples a line
	ended  func() error
	finish func(skipped int) // tells how many histograms were left out

	iterator   chunkenc.Iterator
	inSeries   bool
	timestamps []int64
	values     []float64
	skipped    int
	done       bool
}

// next implements source: it appends one line, or nothing at the end of a series.
func (e *exported) next(dst []byte) ([]byte, bool, error) {
	if err := e.ended(); err != nil {
		return dst, false, err
	}
	if !e.inSeries {
		if !e.set.Next() {
			if err := e.set.Err(); err != nil {
				return dst, false, err
			}
			e.done = true
			e.finish(e.skipped)
			return dst, true, nil
		}
		e.iterator = e.set.At().Iterator(e.iterator)
		e.inSeries = true
	}
	if err := e.gather(); err != nil {
		return dst, false, err
	}
	if len(e.values) > 0 {
		dst = jsonl.AppendLine(dst, e.set.At().Labels(), e.timestamps, e.values)
	}
	return dst, false, nil
}

// gather takes floats of the series until a line is full.
func (e *exported) gather() error {
	e.timestamps, e.values = e.timestamps[:0], e.values[:0]
	for len(e.values) < e.rows {
		switch e.iterator.Next() {
		case chunkenc.ValNone:
			e.inSeries = false
			return e.iterator.Err()
		case chunkenc.ValFloat:
			t, v := e.iterator.At()
			e.timestamps, e.values = append(e.timestamps, t), append(e.values, v)
		default:
			e.skipped++
		}
	}
	return nil
}
