package exec

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varve-db/varve/chunks"
)

// Source is storage that is read in columns.
type Source interface {
	// Querier returns a consistent view of the samples with times in [mint, maxt].
	Querier(mint, maxt int64) (Querier, error)
}

// Querier selects series of a view. Several goroutines may use it.
type Querier interface {
	Select(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) (Selection, error)
	// Warnings says what the answers so far lack.
	Warnings() annotations.Annotations
	Close() error
}

// Selection is series in label order.
type Selection interface {
	Len() int
	Labels(i int) labels.Labels
	// Reader returns a reader for one goroutine.
	Reader() Reader
}

// Reader reads the samples of a selection.
type Reader interface {
	// Read returns the samples of series i within the selection's times. They are
	// valid until the next Read and must not be changed. Series whose Times are
	// one slice have equal timestamps. Reading in ascending order is fast.
	Read(ctx context.Context, i int) (*chunks.Columns, error)
	Close()
}

// LastReader is a Reader that finds the newest sample of a series without reading
// the others.
type LastReader interface {
	Reader
	// Last returns the newest sample of series i with from < time <= to: its value,
	// which may be a stale marker, or its histogram as package chunks records it,
	// valid until the next call.
	Last(ctx context.Context, i int, from, to int64) (t int64, v float64, h []byte, ok bool, err error)
}
