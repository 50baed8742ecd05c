package block

import (
	"fmt"
	"math"

	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
)

// WindowWriter builds the tables of a generation of windows, which is laid out as a
// sealed one is: Add for each series in the order of CompareSealed, then Finish.
type WindowWriter struct {
	*SealWriter
	encoder *window.Encoder
	cell    *window.CellWriter
	numbers []int64 // that tell shapes apart
}

// NewWindowWriter returns a writer of the generation id, whose partition is width
// milliseconds long and which d describes.
func NewWindowWriter(ingester kv.Ingester, id ID, width int64, d Derived) *WindowWriter {
	w := &WindowWriter{
		SealWriter: NewSealWriter(ingester, id, width, Slices{Start: id.Start, Width: width, Count: 1}, column.Balanced),
		encoder:    window.NewEncoder(column.Balanced),
	}
	w.cell = window.NewCellWriter(w.encoder)
	w.summary.Derived = &d
	return w
}

// Histograms says that there were native histograms.
func (w *WindowWriter) Histograms() { w.summary.Derived.Histograms = true }

// Add adds a series with its windows, of which there are some.
func (w *WindowWriter) Add(ls series.Labels, rows *window.Windows) error {
	if w.next == math.MaxUint32 {
		return fmt.Errorf("downsample %s: more than %d series", w.id, w.next)
	}
	name := string(ls.Get(series.MetricName))
	if w.cellEnds(name) {
		if err := w.endCell(); err != nil {
			return err
		}
	}
	ordinal := w.next
	w.next++
	before := w.cell.Size()
	for from := 0; from < rows.Len(); from += window.RowsMax {
		to := min(from+window.RowsMax, rows.Len())
		shape := window.ShapeOf(rows, from, to)
		id, err := w.shapeOf(&shape)
		if err != nil {
			return err
		}
		if err := w.cell.Add(ordinal, id, rows, from, to); err != nil {
			return fmt.Errorf("encode series %d: %w", ordinal, err)
		}
	}
	w.countRows(name, rows, w.cell.Size()-before)
	return w.addLabels(ordinal, ls)
}

// countRows keeps the figures of the summary.
func (w *WindowWriter) countRows(name string, rows *window.Windows, size int) {
	s := &w.summary
	s.Samples += uint64(rows.Len())
	for _, i := range []int{0, rows.Len() - 1} {
		s.MinTime, s.MaxTime = min(s.MinTime, firstTime(rows, i)), max(s.MaxTime, lastTime(rows, i))
	}
	if n := len(w.use); n == 0 || w.use[n-1].Name != name {
		w.use = append(w.use, MetricUse{Name: name})
	}
	u := &w.use[len(w.use)-1]
	u.Series++
	u.Samples += uint64(rows.Len())
	u.Bytes += uint64(size)
}

// firstTime and lastTime are those of the samples and the stale marker of a row.
func firstTime(w *window.Windows, i int) int64 {
	if w.Count[i] == 0 {
		return w.Stale[i]
	}
	return w.FirstTime[i]
}

func lastTime(w *window.Windows, i int) int64 {
	if w.Stale[i] != 0 || w.Count[i] == 0 {
		return w.Stale[i]
	}
	return w.LastTime[i]
}

// cellEnds reports whether a series of a metric begins a new cell.
func (w *WindowWriter) cellEnds(name string) bool {
	if w.cell.Len() == 0 {
		return false
	}
	other := w.use[len(w.use)-1].Name != name
	return w.cell.Size() >= cellBytes || w.next-w.group >= cellSeriesMax || other && w.cell.Size() >= cellBytesMin
}

func (w *WindowWriter) endCell() error {
	if w.cell.Len() > 0 {
		w.row = w.cell.AppendTo(w.row[:0])
		if err := w.values.Set(w.keyOf(familyWindows, w.next-1), w.row); err != nil {
			return err
		}
		w.summary.ChunkBytes += uint64(len(w.row))
	}
	w.group = w.next
	return nil
}

// shapeOf returns the number of a shape, storing it if it is not yet.
func (w *WindowWriter) shapeOf(s *window.Shape) (uint32, error) {
	d := &w.dates
	if d.byHash == nil || len(d.byHash) >= timeHashesMax {
		d.byHash = map[[16]byte]uint32{}
	}
	w.numbers = s.AppendKey(w.numbers[:0])
	hash := column.HashTimes(w.numbers)
	id, known := d.byHash[hash]
	if known {
		return id, nil
	}
	id = d.next
	d.next++
	d.byHash[hash] = id
	w.row = w.encoder.AppendShape(w.row[:0], s)
	d.bytes += uint64(len(w.row))
	return id, w.times.Set(w.keyOf(familyTimes, id), w.row)
}

// Finish completes the tables. The summary's row is not among them.
func (w *WindowWriter) Finish() (Generation, []kv.Table, error) {
	if err := w.endCell(); err != nil {
		return Generation{}, nil, err
	}
	return w.SealWriter.Finish()
}
