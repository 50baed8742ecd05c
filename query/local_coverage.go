package query

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/query/plan"
	"github.com/varve-db/varve/tsdb"
)

// Coverage implements exec.Windowed.
func (q localQuerier) Coverage() []plan.Coverage {
	parts := q.Querier.Coverage()
	out := make([]plan.Coverage, len(parts))
	for i, part := range parts {
		out[i] = plan.Coverage{Min: part.Min, Max: part.Max, Raw: part.Raw}
		for _, width := range part.Widths {
			out[i].Widths = append(out[i].Widths, width.Milliseconds())
		}
	}
	return out
}

// SelectWindows implements exec.Windowed.
func (q localQuerier) SelectWindows(ctx context.Context, read exec.WindowRead, ms []*labels.Matcher) (exec.WindowSelection, error) {
	r := tsdb.WindowRange{Width: milliseconds(read.Width), Min: read.Mint, Max: read.Maxt}
	for _, from := range read.From {
		r.Stored = append(r.Stored, tsdb.StoredWindows{Min: from.Min, Max: from.Max, Width: milliseconds(from.Width)})
	}
	set, err := q.Querier.SelectWindows(ctx, r, ms...)
	if err != nil {
		return nil, err
	}
	return localWindows{set}, nil
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// localWindows implements exec.WindowSelection.
type localWindows struct{ *tsdb.WindowSet }

func (s localWindows) Reader() exec.WindowReader { return s.WindowSet.Reader() }
