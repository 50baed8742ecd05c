package tsdb

import (
	"context"

	"github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
)

// deriver makes windows of a sealed generation, of all missing widths at once. It
// holds in memory the label sets and windows of one block of series, the samples of
// one, and, for each width, what a seal holds for its index and for one cell.
type deriver struct {
	db   *DB
	view *view
	downsamplePlan
	report  *DownsampleReport
	pace    sealer // only to yield
	old     []*heldGeneration
	writers []*block.WindowWriter
	kept    []*storedSeries // what old ones have, nil where they have nothing to keep
	made    window.Windows

	scratch block.SealedScratch
	cursor  *block.SealedCursor
	entries []block.SealedEntry
	values  []float64
}

func (d *deriver) run(ctx context.Context) error {
	defer d.close()
	if err := d.open(); err != nil {
		return err
	}
	raw := newStoredSeries(block.NewReader(d.db.store, d.raw.Generation))
	for {
		labels, ordinal, err := raw.next()
		if err != nil {
			return err
		}
		if labels == nil {
			break
		}
		if err := d.add(ctx, labels, ordinal); err != nil {
			return err
		}
	}
	return d.finish(ctx)
}

// open opens the samples, the windows that are there and those to come.
func (d *deriver) open() (err error) {
	reader := block.NewReader(d.db.store, d.raw.Generation)
	if d.cursor, err = reader.NewSealedCursor(d.start, d.raw.end(), &d.scratch); err != nil {
		return err
	}
	for i, id := range d.nextIDs() {
		var old *heldGeneration
		for _, g := range d.of(d.view.derived) {
			if g.ID.WindowWidth() == d.widths[i] {
				old = g
			}
		}
		derived := block.Derived{Sources: []uint32{d.raw.ID.Generation}}
		var kept *storedSeries
		if old != nil && old.derivation().Partial {
			derived.Partial, derived.Histograms = true, old.derivation().Histograms
			kept = newStoredSeries(block.NewReader(d.db.store, old.Generation))
			if kept.windows, err = kept.NewWindowCursor(); err != nil {
				return err
			}
			kept.apart = len(old.derivation().Sources) == 0
			if _, _, err := kept.next(); err != nil {
				return err
			}
		}
		d.old, d.kept = append(d.old, old), append(d.kept, kept)
		d.writers = append(d.writers, block.NewWindowWriter(d.db.store, id, d.db.options.Width.Milliseconds(), derived))
		if d.cursor.HasHistograms() {
			d.writers[i].Histograms()
		}
	}
	return nil
}

func (d *deriver) close() {
	if d.cursor != nil {
		d.cursor.Close()
	}
	for _, k := range d.kept {
		if k != nil {
			k.windows.Close()
		}
	}
	for _, w := range d.writers {
		w.Abandon()
	}
}

// add adds the windows of a series of the samples, after those of series before it of
// which there are windows alone.
func (d *deriver) add(ctx context.Context, labels series.Labels, ordinal uint32) (err error) {
	if d.entries, err = d.cursor.Entries(d.entries[:0], ordinal); err != nil {
		return err
	}
	samples := 0
	for i := range d.widths {
		if err := d.keepBefore(i, labels); err != nil {
			return err
		}
		d.made.Reset()
		samples = 0
		for k := range d.entries {
			e := &d.entries[k]
			if len(d.values) < len(e.All) {
				d.values = make([]float64, 2*len(e.All))
			}
			values := d.values[:len(e.All)]
			if err := d.cursor.Values(values, e); err != nil {
				return err
			}
			d.made.Append(e.All, values, d.widths[i].Milliseconds())
			samples += len(values)
		}
		if err := d.keepSame(i, labels); err != nil {
			return err
		}
		if err := d.write(i, labels); err != nil {
			return err
		}
	}
	d.report.Samples += uint64(samples)
	if d.pace.pace.work += uint64(samples) + sealStepSeries; d.pace.pace.work < sealStepSamples {
		return nil
	}
	d.pace.pace.work = 0
	if err := d.pace.goOn(ctx); err != nil {
		return err
	}
	return d.pace.yield(ctx, d.db.options.Now())
}

// write writes the windows made, if there are some.
func (d *deriver) write(i int, labels series.Labels) error {
	if d.made.Len() == 0 {
		return nil
	}
	return d.writers[i].Add(labels, &d.made)
}

// keepBefore writes the windows of series before one, or of all that are left if
// labels is nil, of which there are no samples any more.
func (d *deriver) keepBefore(i int, labels series.Labels) error {
	k := d.kept[i]
	for k != nil && k.at != nil && (labels == nil || block.CompareSealed(k.at, labels) < 0) {
		d.made.Reset()
		if err := k.windows.Read(k.ordinal, &d.made); err != nil {
			return err
		}
		if err := d.write(i, k.at); err != nil {
			return err
		}
		if _, _, err := k.next(); err != nil {
			return err
		}
	}
	return nil
}

// keepSame adds what the old windows of the same series have.
func (d *deriver) keepSame(i int, labels series.Labels) error {
	k := d.kept[i]
	if k == nil || k.at == nil || series.Compare(k.at, labels) != 0 {
		return nil
	}
	var old window.Windows
	if err := k.windows.Read(k.ordinal, &old); err != nil {
		return err
	}
	if k.apart {
		old.Join(&d.made)
	} else {
		old.Prefer(&d.made)
	}
	d.made = old
	_, _, err := k.next()
	return err
}

// finish stores what was made and switches to it.
func (d *deriver) finish(ctx context.Context) error {
	var made []block.Generation
	var all []kv.Table
	for i, w := range d.writers {
		if err := d.keepBefore(i, nil); err != nil {
			return err
		}
		g, tables, err := w.Finish()
		if err != nil {
			return err
		}
		made, all = append(made, g), append(all, tables...)
		f := &g.Flushes[0]
		d.report.Series = max(d.report.Series, uint64(f.NewSeries))
		d.report.Windows += f.Samples
		d.report.BytesOut += f.ChunkBytes
	}
	if err := d.pace.goOn(ctx); err != nil {
		return err
	}
	if err := d.db.store.Ingest(ctx, all); err != nil {
		return err
	}
	return d.commit(ctx, made)
}

// storedSeries walks through the series of a sealed generation, or of one of windows.
type storedSeries struct {
	*block.Reader
	windows *block.WindowCursor // nil for samples
	apart   bool                // windows know of none of the samples
	at      series.Labels       // of the series on which it stands; nil at the end
	ordinal uint32

	from   uint32 // of the block
	labels []byte // of the block's series
	ends   []int
}

func newStoredSeries(r *block.Reader) *storedSeries { return &storedSeries{Reader: r} }

// next goes on to the next series and returns it, nil at the end. Its labels are valid
// until the block is over.
func (s *storedSeries) next() (series.Labels, uint32, error) {
	if s.at != nil {
		s.ordinal++
	}
	if s.at = nil; s.ordinal == s.Series() {
		return nil, 0, nil
	}
	if i := int(s.ordinal - s.from); i == len(s.ends) {
		if err := s.load(); err != nil {
			return nil, 0, err
		}
	}
	i, start := int(s.ordinal-s.from), 0
	if i > 0 {
		start = s.ends[i-1]
	}
	s.at = series.Labels(s.labels[start:s.ends[i]:s.ends[i]])
	return s.at, s.ordinal, nil
}

// load loads the labels of the block that begins with ordinal.
func (s *storedSeries) load() error {
	s.from, s.labels, s.ends = s.ordinal, s.labels[:0], s.ends[:0]
	var ordinals []uint32
	for o := s.from; o < s.Series() && len(ordinals) < sealBlockSeries; o++ {
		ordinals = append(ordinals, o)
	}
	return s.Labels(ordinals, func(_ int, ls series.Labels) error {
		s.labels = append(s.labels, ls...)
		s.ends = append(s.ends, len(s.labels))
		return nil
	})
}
