package exec

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/query/plan"
)

// Windowed is storage that keeps aggregates of windows besides samples, or in place
// of them.
type Windowed interface {
	// Coverage says what there is of the times that the view reads, ascending.
	Coverage() []plan.Coverage
	SelectWindows(ctx context.Context, read WindowRead, ms []*labels.Matcher) (WindowSelection, error)
}

// Windows are the windows that a query may read.
type Windows struct {
	From     Windowed // nil if there are none
	Coverage []plan.Coverage
	// Coarsest bounds them.
	Coarsest plan.Coarsest
}

// WindowRead says which windows to read.
type WindowRead struct {
	// Mint and Maxt are the times between which they end.
	Mint, Maxt int64
	// Width is that of windows that are made of samples, where From names no others.
	Width int64
	From  []plan.Source
}

// WindowSelection is series in label order.
type WindowSelection interface {
	Len() int
	Labels(i int) labels.Labels
	// Reader returns a reader for one goroutine.
	Reader() WindowReader
}

// WindowReader reads the windows of a selection.
type WindowReader interface {
	// Read returns the windows of series i, by rising ends; they are valid until the
	// next Read. histograms says that the series has histograms too, which windows do
	// not tell of.
	Read(ctx context.Context, i int) (w *window.Windows, histograms bool, err error)
	Close()
}
