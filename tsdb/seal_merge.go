package tsdb

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
)

// What a seal holds in memory. It is one goroutine, there is one at a time, and
// none of this grows with the number of samples:
//
//   - the label sets of one metric at a time, or of a block of small ones, see
//     sealMetric: for a fleet some 60 bytes a series of the largest metric;
//   - the samples of neighbouring series, at most sealBlockSamples: 32 MiB, or
//     one series if that has more;
//   - the timestamp columns of the inputs that were decoded last, 32 MiB, and the
//     dictionary of those written, 64 MiB, after which both begin anew;
//   - a cell for each slice of the window, of which there are at most 24: mostly
//     below a MiB each;
//   - the index being built: 8 bytes for each run of neighbours that have a label
//     pair, which is some 30 bytes a series.
const (
	sealBlockSeries  = 128
	sealBlockSamples = 2 << 20
)

// sealer merges generations.
type sealer struct {
	db     *DB
	id     block.ID // of the result
	inputs []sealInput
	writer *block.SealWriter
	tables []kv.Table
	report *SealReport
	pace   pace
	erase  *erasure // takes samples out, if not nil
	erased *erased  // likewise, those that have expired

	block  int // series that are read together
	metric sealMetric
	sealed block.SealedReader
	sealScratch
}

// sealScratch is the memory for one block of series.
type sealScratch struct {
	places    [][]sealPlace // by input
	loaded    [][]chunks.Chunk
	rows      []byte // the last rows read; their chunks are in loaded
	exemplars [][]head.Exemplar
	columns   chunks.Columns
	labels    []byte
}

// reset empties the scratch for a block of n series.
func (s *sealScratch) reset(inputs, n int) {
	for len(s.places) < inputs {
		s.places = append(s.places, nil)
	}
	for i := range s.places {
		s.places[i] = s.places[i][:0]
	}
	for len(s.loaded) < n {
		s.loaded, s.exemplars = append(s.loaded, nil), append(s.exemplars, nil)
	}
	for i := range s.loaded {
		s.forget(i)
	}
	s.rows = s.rows[:0]
}

// rowsBytes is how much memory is taken for rows at a time.
const rowsBytes = 64 << 10

// flushesAtOnce is for how many flushes a series gets room before they are read.
const flushesAtOnce = 256

// decode adds the chunks of a row to those of a series.
func (s *sealScratch) decode(entry int, row []byte, start int64, list int) (err error) {
	if cap(s.rows)-len(s.rows) < len(row) {
		s.rows = make([]byte, 0, max(rowsBytes, len(row)))
	}
	at := len(s.rows)
	s.rows = append(s.rows, row...)
	s.loaded[entry], err = chunks.DecodeList(s.loaded[entry], s.rows[at:], start, list)
	return err
}

// forget lets go of the samples of a series.
func (s *sealScratch) forget(i int) {
	clear(s.loaded[i])
	clear(s.exemplars[i])
	s.loaded[i], s.exemplars[i] = s.loaded[i][:0], s.exemplars[i][:0]
}

type sealInput struct {
	*block.Reader
	held *heldGeneration
}

// plan divides the inputs' range of time, and their series into blocks, and
// begins the count of what is done.
func (s *sealer) plan() block.Slices {
	var samples, series, largest uint64
	start, end := s.inputs[0].held.Flushes[0].MinTime, s.inputs[0].held.Flushes[0].MaxTime
	for _, in := range s.inputs {
		for _, f := range in.held.Flushes {
			samples += f.Samples
			start, end = min(start, f.MinTime), max(end, f.MaxTime)
		}
		series += uint64(in.Series())
		largest = max(largest, uint64(in.Series()))
	}
	each := samples / max(largest, 1)
	s.block = int(min(max(sealBlockSamples/max(each, 1), 1), sealBlockSeries))
	s.db.sealing.begin(s.pace.started, series, samples)
	return block.PlanSlices(start, end, each)
}

// counters returns which batches of the origins the inputs hold.
func (s *sealer) counters() (all []block.CounterRange) {
	for _, in := range s.inputs {
		for _, f := range in.held.Flushes {
			all = append(all, f.Counters...)
		}
	}
	return all
}

// run writes all series in order, metric by metric, small ones together.
func (s *sealer) run(ctx context.Context) (block.Generation, error) {
	names := map[string]struct{}{"": {}}
	for _, in := range s.inputs {
		if err := in.LabelValues(series.MetricName, nil, names); err != nil {
			return block.Generation{}, err
		}
	}
	for rest := slices.Sorted(maps.Keys(names)); len(rest) > 0; {
		if err := s.step(ctx); err != nil {
			return block.Generation{}, err
		}
		n, err := s.findMetrics(rest)
		if err != nil {
			return block.Generation{}, err
		}
		rest = rest[n:]
		if err := s.addMetric(ctx); err != nil {
			return block.Generation{}, err
		}
	}
	generation, tables, err := s.writer.Finish()
	s.tables = tables
	return generation, err
}

// goOn returns an error when the seal has to end.
func (s *sealer) goOn(ctx context.Context) error {
	if s.db.closed.Load() {
		return ErrClosed
	}
	return ctx.Err()
}

// findMetrics finds the series of the first metrics of names, as many as it takes
// to fill a block, and puts them in the order of the result. It returns how many
// metrics it took.
func (s *sealer) findMetrics(names []string) (taken int, err error) {
	sets := make([]*roaring.Bitmap, len(s.inputs))
	for largest := uint64(0); taken < len(names) && largest < uint64(s.block); taken++ {
		for i, in := range s.inputs {
			found, err := in.Metric(names[taken])
			if err != nil {
				return 0, err
			}
			if taken == 0 {
				sets[i] = found
			} else {
				sets[i].Or(found)
			}
			largest = max(largest, sets[i].GetCardinality())
		}
	}
	total := uint64(0)
	for _, set := range sets {
		total += set.GetCardinality()
	}
	s.metric.reset(int(total))
	for i, in := range s.inputs {
		ordinals := sets[i].ToArray()
		err := in.Labels(ordinals, func(at int, ls series.Labels) error {
			s.metric.add(i, ordinals[at], ls)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	s.metric.sort()
	return taken, nil
}

// addMetric writes the series that were found, a block at a time.
func (s *sealer) addMetric(ctx context.Context) error {
	m := &s.metric
	var ends []int // of the members of each series of the block
	for rest := m.all; len(rest) > 0; {
		ends = ends[:0]
		n := 0
		for n < len(rest) && len(ends) < s.block {
			n += m.same(rest[n:])
			ends = append(ends, n)
		}
		if err := s.addBlock(ctx, rest[:n], ends); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// sealPlace is a series of an input, and which one of the block it is.
type sealPlace struct {
	ordinal uint32
	entry   int
}

// addBlock reads the samples of a few series and writes them. The members of
// series i are list[ends[i-1]:ends[i]].
func (s *sealer) addBlock(ctx context.Context, list []sealMember, ends []int) error {
	s.reset(len(s.inputs), len(ends))
	for at, from := 0, 0; at < len(ends); at++ {
		for _, x := range list[from:ends[at]] {
			s.places[x.input] = append(s.places[x.input], sealPlace{x.ordinal, at})
		}
		from = ends[at]
	}
	number := 0
	for i := range s.inputs {
		slices.SortFunc(s.places[i], func(a, b sealPlace) int { return cmp.Compare(a.ordinal, b.ordinal) })
		if err := s.readInput(&s.inputs[i], s.places[i], &number); err != nil {
			return err
		}
	}
	for at, from := 0, 0; at < len(ends); at++ {
		first, inputs := &list[from], ends[at]-from
		from = ends[at]
		if err := s.columns.Load(s.loaded[at]); err != nil {
			return err
		}
		s.report.Conflicts += s.columns.Conflicts
		if s.erase != nil {
			s.labels = s.metric.appendLabels(s.labels[:0], first)
			s.exemplars[at] = s.erase.from(s.labels, &s.columns, s.exemplars[at])
		}
		if s.erased != nil {
			s.labels = s.metric.appendLabels(s.labels[:0], first)
			s.exemplars[at] = s.erased.from(s.labels, &s.columns, s.exemplars[at])
		}
		if s.columns.Len() > 0 || len(s.exemplars[at]) > 0 {
			sortExemplars(s.exemplars[at])
			s.labels = s.metric.appendLabels(s.labels[:0], first)
			if err := s.writer.Add(s.labels, &s.columns, s.exemplars[at]); err != nil {
				return err
			}
		}
		s.forget(at)
		if err := s.advance(ctx, inputs, s.columns.Len()); err != nil {
			return err
		}
	}
	return nil
}

func (s *sealer) countRead(n int64) error {
	s.report.BytesIn += uint64(n)
	return nil
}

// readInput adds what an input has of the series at places.
func (s *sealer) readInput(in *sealInput, places []sealPlace, number *int) error {
	ordinals := make([]uint32, len(places))
	for i, p := range places {
		ordinals[i] = p.ordinal
	}
	if len(ordinals) == 0 {
		return nil
	}
	read := s.readFlushed
	if in.Sealed() {
		read = s.readSealed
	}
	if err := read(in, places, ordinals, number); err != nil {
		return err
	}
	for _, f := range in.held.Flushes {
		if f.Exemplars > 0 {
			err := in.Exemplars(f.Flush, ordinals, f.MinTime, f.MaxTime, func(i int, found []head.Exemplar) {
				at := &s.exemplars[places[i].entry]
				*at = append(*at, found...)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readFlushed adds the chunks of all flushes.
func (s *sealer) readFlushed(in *sealInput, places []sealPlace, ordinals []uint32, number *int) error {
	for _, p := range places {
		at := &s.loaded[p.entry]
		*at = slices.Grow(*at, min(len(in.held.Flushes), flushesAtOnce))
	}
	err := in.Flushed(ordinals, func(flush, i int, row []byte) error {
		s.report.BytesIn += uint64(len(row))
		return s.decode(places[i].entry, row, in.held.ID.Start, *number+flush)
	})
	*number += len(in.held.Flushes)
	return err
}

// readSealed adds the samples of a sealed generation.
func (s *sealer) readSealed(in *sealInput, places []sealPlace, ordinals []uint32, number *int) error {
	f := &in.held.Flushes[0]
	wanted := block.Range{Min: f.MinTime, Max: f.MaxTime, Charge: s.countRead}
	err := s.sealed.Floats(in.Reader, ordinals, wanted, func(i int, c chunks.Chunk) {
		at := &s.loaded[places[i].entry]
		*at = append(*at, c.WithList(*number, len(*at)))
	})
	*number++
	if err == nil {
		err = s.sealed.Histograms(in.Reader, ordinals, wanted, func(i int, row []byte) error {
			return s.decode(places[i].entry, row, in.held.ID.Start, *number)
		})
	}
	*number++
	return err
}
