package block

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/head"
)

// Sizes of the rows that a seal writes.
const (
	cellBytes     = 8 << 10 // at which the cells of a group of series are ended
	cellBytesMin  = 2 << 10 // below which a group goes on over the end of a metric
	cellSeriesMax = 128
	labelsPerRow  = 32
)

// SealWriter builds the tables of a sealed generation: Add for each series in
// the order of CompareSealed, then Finish.
type SealWriter struct {
	id     ID
	width  int64
	prefix []byte
	slices Slices

	sealFamilies

	encoder *column.Encoder
	runs    *chunks.HistogramEncoder
	cells   []*column.CellWriter // a slice each, for the group of series being built
	group   uint32               // first ordinal of the group
	next    uint32               // ordinal of the next series
	dates   timeColumns
	index   map[string]*runs // encoded label pair -> ordinals
	set     labelRow
	digest  digester
	use     []MetricUse
	summary Summary
	key     []byte
	row     []byte
}

// sealFamilies is a writer for each family of rows: keys ascend in each.
type sealFamilies struct{ values, times, labels, postings, histograms, exemplars *Writer }

// NewSealWriter returns a writer of the generation id, whose window is width
// milliseconds long and whose columns are encoded at level.
func NewSealWriter(ingester kv.Ingester, id ID, width int64, s Slices, level column.Level) *SealWriter {
	w := &SealWriter{
		id: id, width: width, prefix: id.Prefix(), slices: s,
		sealFamilies: sealFamilies{
			values: NewWriter(ingester), times: NewWriter(ingester), labels: NewWriter(ingester),
			postings: NewWriter(ingester), histograms: NewWriter(ingester), exemplars: NewWriter(ingester),
		},
		encoder: column.NewEncoder(level), index: map[string]*runs{},
		summary: Summary{Width: width, Shards: 1, MinTime: math.MaxInt64, MaxTime: math.MinInt64},
	}
	w.runs = chunks.NewHistogramEncoder(w.encoder)
	for range s.Count {
		w.cells = append(w.cells, column.NewCellWriter(w.encoder))
	}
	return w
}

// Covers says which of the origins' batches the generation holds.
func (w *SealWriter) Covers(counters []CounterRange) { w.summary.Counters = MergeCounters(counters) }

func (w *SealWriter) writers() []*Writer {
	return []*Writer{w.histograms, w.postings, w.labels, w.times, w.values, w.exemplars}
}

// Abandon drops all tables. After a successful Ingest it does nothing.
func (w *SealWriter) Abandon() {
	for _, f := range w.writers() {
		f.Abandon()
	}
}

// keyOf builds the key of a row.
func (w *SealWriter) keyOf(family byte, parts ...uint32) []byte {
	w.key = append(append(w.key[:0], w.prefix...), family)
	for _, p := range parts {
		w.key = keyspace.AppendUint32(w.key, p)
	}
	return w.key
}

// Add adds a series with its samples, and exemplars in order of time.
func (w *SealWriter) Add(ls series.Labels, c *chunks.Columns, exemplars []head.Exemplar) error {
	if w.next == math.MaxUint32 {
		return fmt.Errorf("seal %s: more than %d series", w.id, w.next)
	}
	if w.groupEnds(ls) {
		if err := w.endGroup(); err != nil {
			return err
		}
	}
	ordinal := w.next
	w.next++
	before := w.groupSize()
	if err := w.addFloats(ordinal, ls, c); err != nil {
		return err
	}
	size, err := w.addHistograms(ordinal, ls, c.Histograms)
	if err != nil {
		return err
	}
	w.digest.add(ls, c)
	w.count(ls, c, size+w.groupSize()-before)
	if len(exemplars) > 0 {
		for _, x := range exemplars {
			w.summary.MinTime, w.summary.MaxTime = min(w.summary.MinTime, x.Timestamp), max(w.summary.MaxTime, x.Timestamp)
		}
		w.summary.Exemplars += uint64(len(exemplars))
		w.row = appendExemplars(w.row[:0], w.id.Start, exemplars)
		if err := w.exemplars.Set(w.keyOf(familyExemplars, 0, ordinal), w.row); err != nil {
			return err
		}
	}
	return w.addLabels(ordinal, ls)
}

// count keeps the figures of the summary.
func (w *SealWriter) count(ls series.Labels, c *chunks.Columns, size int) {
	s := &w.summary
	s.Samples += uint64(c.Len())
	if n := len(c.Times); n > 0 {
		s.MinTime, s.MaxTime = min(s.MinTime, c.Times[0]), max(s.MaxTime, c.Times[n-1])
	}
	if n := len(c.Histograms); n > 0 {
		s.MinTime, s.MaxTime = min(s.MinTime, c.Histograms[0].Time), max(s.MaxTime, c.Histograms[n-1].Time)
	}
	name := ls.Get(series.MetricName)
	if n := len(w.use); n == 0 || w.use[n-1].Name != string(name) {
		w.use = append(w.use, MetricUse{Name: string(name)})
	}
	u := &w.use[len(w.use)-1]
	u.Series++
	u.Samples += uint64(c.Len())
	u.Bytes += uint64(max(size, 0))
}

// groupEnds reports whether the series ls begins a new group of cells.
func (w *SealWriter) groupEnds(ls series.Labels) bool {
	if w.next == w.group {
		return false
	}
	largest := 0
	for _, cell := range w.cells {
		largest = max(largest, cell.Size())
	}
	if largest >= cellBytes || w.next-w.group >= cellSeriesMax {
		return true
	}
	other := w.use[len(w.use)-1].Name != string(ls.Get(series.MetricName))
	return other && largest >= cellBytesMin
}

func (w *SealWriter) groupSize() (n int) {
	for _, cell := range w.cells {
		n += cell.Size()
	}
	return n
}

// endGroup writes the cells of the group.
func (w *SealWriter) endGroup() error {
	for slice, cell := range w.cells {
		if cell.Len() == 0 {
			continue
		}
		w.row = cell.AppendTo(w.row[:0])
		key := keyspace.AppendUint16(w.keyOf(familyValues, w.next-1), uint16(slice))
		if err := w.values.Set(key, w.row); err != nil {
			return err
		}
		w.summary.ChunkBytes += uint64(len(w.row))
		cell.Reset()
	}
	w.group = w.next
	return nil
}

// addFloats adds the series's floats to the cells of their slices.
func (w *SealWriter) addFloats(ordinal uint32, ls series.Labels, c *chunks.Columns) error {
	if len(c.Times) == 0 {
		return nil
	}
	target := targetOf(ls)
	_, bucket := lookup(ls, "le")
	for from := 0; from < len(c.Times); {
		slice := w.slices.of(c.Times[from])
		end := len(c.Times)
		if slice < w.slices.Count-1 {
			n, _ := slices.BinarySearch(c.Times[from:], w.slices.end(slice))
			end = from + n
		}
		for ; from < end; from += min(column.SamplesMax, end-from) {
			to := min(end, from+column.SamplesMax)
			at, err := w.timeSlice(target, slice, c.Times[from:to])
			if err != nil {
				return err
			}
			entry := column.Entry{Series: ordinal, Times: at, Values: c.Values[from:to], Bucket: bucket}
			if len(c.Starts) > 0 && slices.ContainsFunc(c.Starts[from:to], func(s int64) bool { return s != 0 }) {
				entry.Timestamps, entry.Starts = c.Times[from:to], c.Starts[from:to]
			}
			if err := w.cells[slice].Add(entry); err != nil {
				return fmt.Errorf("encode series %d: %w", ordinal, err)
			}
		}
	}
	return nil
}

// addHistograms writes the series's histograms, slice by slice.
func (w *SealWriter) addHistograms(ordinal uint32, ls series.Labels, samples []chunks.Sample) (size int, err error) {
	for len(samples) > 0 {
		slice := w.slices.of(samples[0].Time)
		n := len(samples)
		if slice < w.slices.Count-1 {
			n, _ = slices.BinarySearchFunc(samples, w.slices.end(slice), func(s chunks.Sample, t int64) int { return cmp.Compare(s.Time, t) })
		}
		list, err := w.encodeHistograms(targetOf(ls), slice, samples[:n])
		if err != nil {
			return size, fmt.Errorf("encode histograms of series %d: %w", ordinal, err)
		}
		w.row = w.row[:0]
		for _, c := range list {
			w.row = chunks.AppendChunk(w.row, w.id.Start, c)
		}
		key := keyspace.AppendUint16(w.keyOf(familyHistograms, ordinal), uint16(slice))
		if err := w.histograms.Set(key, w.row); err != nil {
			return size, err
		}
		size += len(w.row)
		samples = samples[n:]
	}
	w.summary.ChunkBytes += uint64(size)
	return size, nil
}

// encodeHistograms returns the chunks of a row of histograms: runs in columns,
// with the timestamps where those of floats are, or what is smaller.
func (w *SealWriter) encodeHistograms(target uint64, slice int, samples []chunks.Sample) ([]chunks.Chunk, error) {
	list, err := chunks.Encode(nil, samples)
	if err != nil {
		return nil, err
	}
	return w.runs.Replace(list, func(times []int64) (column.Slice, error) { return w.timeSlice(target, slice, times) })
}

// addLabels adds the label set to the row being built and to the index.
func (w *SealWriter) addLabels(ordinal uint32, ls series.Labels) error {
	for rest := ls; len(rest) > 0; {
		_, _, after, ok := rest.CutPair()
		if !ok {
			return fmt.Errorf("labels of series %d: %w", ordinal, ErrCorrupt)
		}
		pair := rest[:len(rest)-len(after)]
		set := w.index[string(pair)]
		if set == nil {
			set = &runs{}
			w.index[string(pair)] = set
		}
		set.add(ordinal)
		rest = after
	}
	w.set.add(ls)
	if w.set.count == labelsPerRow {
		return w.endLabels()
	}
	return nil
}

func (w *SealWriter) endLabels() error {
	if w.set.count == 0 {
		return nil
	}
	err := w.labels.Set(w.keyOf(familyLabels, w.next-1), w.set.row)
	w.set.reset()
	return err
}

// Finish completes the tables. The summary's row is not among them: writing it
// is what makes the generation readable.
func (w *SealWriter) Finish() (Generation, []kv.Table, error) {
	if err := w.endGroup(); err != nil {
		return Generation{}, nil, err
	}
	if err := w.endLabels(); err != nil {
		return Generation{}, nil, err
	}
	if err := w.addIndex(); err != nil {
		return Generation{}, nil, err
	}
	s := w.summary
	s.NewSeries = w.next
	if s.MinTime > s.MaxTime {
		s.MinTime, s.MaxTime = w.id.Start, w.id.Start
	}
	slices.SortFunc(w.use, func(a, b MetricUse) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	s.ChunkBytes += w.dates.bytes
	s.Sealed = &Sealed{
		Slices: w.slices, Columns: w.dates.next, Digests: w.digest.list(), Metrics: w.use[:min(len(w.use), metricsKept)],
	}
	var tables []kv.Table
	for _, f := range w.writers() {
		finished, err := f.Tables()
		if err != nil {
			return Generation{}, nil, err
		}
		tables = append(tables, finished...)
	}
	return Generation{ID: w.id, Flushes: []Summary{s}}, tables, nil
}

// addIndex writes the postings.
func (w *SealWriter) addIndex() error {
	pairs := make([]series.Labels, 0, len(w.index))
	for pair := range w.index {
		pairs = append(pairs, series.Labels(pair))
	}
	slices.SortFunc(pairs, series.Compare)
	var err error
	for _, pair := range pairs {
		name, value, _, _ := pair.CutPair()
		key := keyspace.AppendString(keyspace.AppendString(w.keyOf(familyPostings), name), value)
		w.key = keyspace.AppendUint32(key, 0)
		if w.row, err = w.index[string(pair)].append(w.row[:0]); err != nil {
			return err
		}
		if err := w.postings.Set(w.key, w.row); err != nil {
			return err
		}
	}
	return nil
}

// AddSummary adds to batch the row that makes the generation readable.
func (g Generation) AddSummary(batch *kv.Batch) {
	batch.Set(g.ID.DirectoryKey(), nil)
	for _, s := range g.Flushes {
		key := keyspace.AppendUint32(append(g.ID.Prefix(), familySummary), s.Flush)
		batch.Set(key, s.append(nil, g.ID.Start))
	}
}

// timeColumns finds timestamps that are stored already.
type timeColumns struct {
	next   uint32
	bytes  uint64
	byHash map[[16]byte]uint32
	// recent holds the column that the last series of a target had in a slice:
	// the next one mostly has the same or a part of it.
	recent map[targetSlice]timeColumn
	held   int // timestamps in recent
}

type targetSlice struct {
	target uint64
	slice  int
}

type timeColumn struct {
	id    uint32
	times []int64
}

// Budgets of the dictionary of timestamp columns; when one is spent the
// dictionary is emptied, and columns may be stored twice.
const (
	timeHashesMax = 1 << 20        // 24 bytes each
	timesHeldMax  = (40 << 20) / 8 // timestamps
)

// timeSlice returns where the timestamps are stored, storing them if they are
// not yet.
func (w *SealWriter) timeSlice(target uint64, slice int, times []int64) (column.Slice, error) {
	d := &w.dates
	if d.byHash == nil || len(d.byHash) >= timeHashesMax {
		d.byHash = map[[16]byte]uint32{}
	}
	if d.recent == nil || d.held >= timesHeldMax {
		d.recent, d.held = map[targetSlice]timeColumn{}, 0
	}
	length := uint32(len(times))
	place := targetSlice{target, slice}
	if recent, ok := d.recent[place]; ok {
		if offset, ok := column.FindSlice(recent.times, times); ok {
			return column.Slice{Column: recent.id, Offset: uint32(offset), Length: length}, nil
		}
	}
	hash := column.HashTimes(times)
	id, known := d.byHash[hash]
	if !known {
		id = d.next
		d.next++
		d.byHash[hash] = id
		w.row = w.encoder.AppendTimes(w.row[:0], times)
		if err := w.times.Set(w.keyOf(familyTimes, id), w.row); err != nil {
			return column.Slice{}, err
		}
		d.bytes += uint64(len(w.row))
	}
	if recent := d.recent[place]; len(times) >= len(recent.times) {
		d.held += len(times) - len(recent.times)
		d.recent[place] = timeColumn{id, append(recent.times[:0], times...)}
	}
	return column.Slice{Column: id, Length: length}, nil
}

// targetOf hashes the labels that tell from where a series was scraped.
func targetOf(ls series.Labels) uint64 {
	instance, _ := lookup(ls, "instance")
	job, _ := lookup(ls, "job")
	return xxh3.HashSeed(instance, xxh3.Hash(job))
}

func lookup(ls series.Labels, name string) ([]byte, bool) {
	value := ls.Get(name)
	return value, value != nil
}

func floatBits(f float64) uint64 { return math.Float64bits(f) }
