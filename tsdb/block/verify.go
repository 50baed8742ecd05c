package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/zeebo/xxh3"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
)

// Damage is something in a generation that is not as it was written.
type Damage struct {
	// Key is the row's, the last one before rows that cannot be read, or the
	// beginning of the keys of several rows.
	Key    []byte
	Reason string
}

// Verified is what Verify found in a generation.
type Verified struct {
	ID       ID
	Readable bool // it has a summary
	Sealed   bool
	Flushes  int

	Series, Samples, Exemplars uint64 // decoded
	Rows, Bytes                uint64 // keys and values

	Damage  []Damage // at most damageKept
	Damaged int      // all that was found
}

// damageKept bounds the damage that is listed.
const damageKept = 1000

// Verify reads all rows of a generation, decodes them, and compares them with
// each other: series are numbered without gaps and, where it is sealed, in order;
// postings name the series that have the label; chunks hold what their headers
// and the summary say; the digests of a sealed generation are those of its
// samples. read is told the bytes as they are read, and may be nil. The error is
// not about damage.
func Verify(ctx context.Context, r kv.Reader, id ID, read func(bytes int)) (Verified, error) {
	v := verifier{
		ctx: ctx, prefix: id.Prefix(), out: Verified{ID: id},
		pairs: map[string]*pairTally{}, flushes: map[uint32]*flushTally{}, begins: map[uint32]bool{},
	}
	v.rows = Rows{Reader: r, Damaged: v.damaged, Read: func(n int) {
		v.out.Rows++
		v.out.Bytes += uint64(n)
		if read != nil {
			read(n)
		}
	}}
	err := v.run()
	return v.out, err
}

// verifier is the state of one Verify.
type verifier struct {
	ctx    context.Context
	rows   Rows
	prefix []byte
	out    Verified

	flushes map[uint32]*flushTally
	order   []uint32 // the numbers of the flushes, ascending
	sealed  *Sealed
	known   uint32          // ordinals of which the summaries know
	begins  map[uint32]bool // ordinals with which a flush begins

	pairs  map[string]*pairTally // by the encoded name and value
	series []seriesTally         // by ordinal
	digest digester
	sealedVerifier
	windowVerifier
}

// flushTally is a flush with what was found of it.
type flushTally struct {
	Summary
	found Summary // the figures alone
}

// pairTally counts the series that have a label, less those that its postings
// name: number and sum are zero in the end.
type pairTally struct {
	number int64
	sum    uint64
}

// seriesTally is what is kept of a series.
type seriesTally struct {
	hash  xxh3.Uint128 // of the labels
	known bool
}

// note adds to the list of damage.
func (v *verifier) note(key []byte, format string, args ...any) {
	if v.out.Damaged++; len(v.out.Damage) < damageKept {
		v.out.Damage = append(v.out.Damage, Damage{bytes.Clone(key), fmt.Sprintf(format, args...)})
	}
}

func (v *verifier) damaged(key []byte, err error) {
	v.note(key, "rows from here on cannot be read: %v", err)
}

// family walks the rows of a family. The errors of visit are damage.
func (v *verifier) family(family byte, visit func(key, rest, value []byte) error) error {
	prefix := append(bytes.Clone(v.prefix), family)
	return v.rows.Walk(v.ctx, prefix, func(key, value []byte) ([]byte, error) {
		if err := visit(key, key[len(prefix):], value); err != nil {
			v.note(key, "%v", err)
		}
		return nil, nil
	})
}

func (v *verifier) run() error {
	if err := v.family(familySummary, v.summary); err != nil {
		return err
	}
	v.order = slices.Sorted(maps.Keys(v.flushes))
	if len(v.order) == 0 && v.out.Damaged == 0 {
		// Nobody reads it: it waits to be removed.
		return v.rows.Walk(v.ctx, v.prefix, func(_, _ []byte) ([]byte, error) { return nil, nil })
	}
	v.out.Readable, v.out.Flushes = true, len(v.order)
	v.summaries()
	families := []struct {
		name  byte
		visit func(key, rest, value []byte) error
	}{
		{familyLabels, v.labelRow}, {familyPostings, v.postings}, {familyTimes, v.timeRow}, {familyChunks, v.chunkRow},
		{familyHistograms, v.histogramRow}, {familyValues, v.valueRow}, {familyWindows, v.windowRow}, {familyExemplars, v.exemplarRow},
	}
	known := []byte{familySummary}
	for _, f := range families {
		if err := v.family(f.name, f.visit); err != nil {
			return err
		}
		known = append(known, f.name)
		if f.name == familyPostings {
			v.compareLabels()
		}
	}
	v.compareTotals()
	return v.rows.Walk(v.ctx, v.prefix, func(key, _ []byte) ([]byte, error) {
		if len(key) == len(v.prefix) || !slices.Contains(known, key[len(v.prefix)]) {
			v.note(key, "unknown kind of row")
			return nil, nil
		}
		return append(bytes.Clone(v.prefix), key[len(v.prefix)]+1), nil
	})
}

func (v *verifier) summary(_, rest, value []byte) error {
	if len(rest) != 4 {
		return fmt.Errorf("%w: key of a summary", ErrCorrupt)
	}
	flush := binary.BigEndian.Uint32(rest)
	s, err := decodeSummary(value, flush, v.out.ID.Start)
	if err != nil {
		return err
	}
	v.flushes[flush] = &flushTally{Summary: s, found: Summary{MinTime: s.MaxTime, MaxTime: s.MinTime}}
	if s.Sealed != nil {
		v.sealed, v.out.Sealed, v.derived = s.Sealed, true, s.Derived != nil
	}
	return nil
}

// summaries compares the summaries with each other.
func (v *verifier) summaries() {
	for i, flush := range v.order {
		f := v.flushes[flush]
		key := v.keyOf(familySummary, flush)
		if f.FirstOrdinal != v.known {
			v.note(key, "the flush begins with series %d, the one before ends at %d", f.FirstOrdinal, v.known)
		}
		v.known = max(v.known, f.FirstOrdinal+f.NewSeries)
		v.begins[f.FirstOrdinal] = true
		end := v.out.ID.Start + f.Width
		if f.Samples+f.Exemplars > 0 && (f.MinTime < v.out.ID.Start || f.MaxTime >= end) {
			v.note(key, "times %d to %d are outside of the window, %d to %d", f.MinTime, f.MaxTime, v.out.ID.Start, end)
		}
		if v.derived != (v.out.ID.Resolution != Raw) {
			v.note(key, "the summary is not that of a generation of this resolution")
		}
		if v.sealed != nil && i > 0 {
			v.note(key, "a sealed generation has a second flush")
		}
	}
}

func (v *verifier) keyOf(family byte, parts ...uint32) []byte {
	key := append(bytes.Clone(v.prefix), family)
	for _, p := range parts {
		key = keyspace.AppendUint32(key, p)
	}
	return key
}

// labelRow reads a row of label sets.
func (v *verifier) labelRow(_, rest, value []byte) error {
	if len(rest) != 4 {
		return fmt.Errorf("%w: key of labels", ErrCorrupt)
	}
	ordinal := binary.BigEndian.Uint32(rest)
	if v.sealed == nil {
		return v.labelSet(ordinal, series.Labels(value))
	}
	ordinal -= uint32(countLabels(value)) - 1
	_, err := eachLabels(value, nil, func(i int, ls series.Labels) error { return v.labelSet(ordinal+uint32(i), ls) })
	return err
}

// labelSet takes the labels of the next series.
func (v *verifier) labelSet(ordinal uint32, ls series.Labels) error {
	next := uint32(len(v.series))
	if ordinal >= v.known || ordinal < next {
		return fmt.Errorf("%w: labels of series %d, of %d, come after those of %d", ErrCorrupt, ordinal, v.known, next)
	}
	v.series = append(v.series, make([]seriesTally, ordinal-next+1)...)
	err := ls.Check()
	if err != nil {
		return fmt.Errorf("labels of series %d: %w", ordinal, err)
	}
	one := &v.series[ordinal]
	*one = seriesTally{xxh3.Hash128(ls), true}
	v.out.Series++
	for rest := ls; len(rest) > 0; {
		name, value, after, _ := rest.CutPair()
		v.pair(name, value).add(ordinal, 1)
		rest = after
	}
	switch {
	case ordinal != next:
		err = fmt.Errorf("%w: there are no labels of series %d to %d", ErrCorrupt, next, ordinal-1)
	case !v.follows(ordinal, ls):
		err = fmt.Errorf("%w: series %d, %s, is out of order", ErrCorrupt, ordinal, ls)
	}
	v.last = append(v.last[:0], ls...)
	return err
}

// follows reports whether a series comes after the one before it: the series of a
// sealed generation are in order, and those that are new in a flush.
func (v *verifier) follows(ordinal uint32, ls series.Labels) bool {
	switch {
	case ordinal == 0:
		return true
	case v.sealed != nil:
		return CompareSealed(v.last, ls) < 0
	}
	return v.begins[ordinal] || series.Compare(v.last, ls) < 0
}

// pair returns the tally of a label.
func (v *verifier) pair(name, value []byte) *pairTally {
	v.scratch = keyspace.AppendString(keyspace.AppendString(v.scratch[:0], name), value)
	t := v.pairs[string(v.scratch)]
	if t == nil {
		t = new(pairTally)
		v.pairs[string(v.scratch)] = t
	}
	return t
}

// add counts a series n times: 1, or -1 to take it off. Equal sets have equal sums
// of products, different ones hardly.
func (t *pairTally) add(ordinal uint32, n int64) {
	t.number += n
	t.sum += uint64(n) * (uint64(ordinal) + 1) * 0x9e3779b97f4a7c15

}

// postings reads a row of postings.
func (v *verifier) postings(key, rest, value []byte) error {
	name, after, err := keyspace.CutString(rest)
	if err != nil {
		return fmt.Errorf("%w: key of postings", ErrCorrupt)
	}
	labelValue, after, err := keyspace.CutString(after)
	if err != nil || len(after) != 4 {
		return fmt.Errorf("%w: key of postings", ErrCorrupt)
	}
	f := v.flushes[binary.BigEndian.Uint32(after)]
	if f == nil {
		return fmt.Errorf("%w: postings of a flush without a summary", ErrCorrupt)
	}
	set := roaring.New()
	if err := addPostings(set, value, f.FirstOrdinal+f.NewSeries); err != nil {
		return err
	}
	if set.IsEmpty() || set.Minimum() < f.FirstOrdinal {
		return fmt.Errorf("%w: postings name no series, or one of another flush", ErrCorrupt)
	}
	t := v.pair([]byte(name), []byte(labelValue))
	for it := set.Iterator(); it.HasNext(); {
		t.add(it.Next(), -1)
	}
	return nil
}

// compareLabels compares the labels with the postings, which it forgets. Where
// some could not be read, that was said already. That two series have the same
// labels is no damage in a generation that is not sealed: one that left memory
// and came back is numbered again.
func (v *verifier) compareLabels() {
	if v.out.Damaged == 0 {
		for _, pair := range slices.Sorted(maps.Keys(v.pairs)) {
			t := v.pairs[pair]
			if t.number == 0 && t.sum == 0 {
				continue
			}
			name, rest, _ := keyspace.CutString([]byte(pair))
			value, _, _ := keyspace.CutString(rest)
			v.note(append(v.keyOf(familyPostings), pair...),
				"the postings of %s=%q do not name the series that have it: %d too few", name, value, t.number)
		}
	}
	v.pairs = nil
}

// compareTotals compares what was found with what the summaries say.
func (v *verifier) compareTotals() {
	for _, flush := range v.order {
		f := v.flushes[flush]
		v.out.Samples += f.found.Samples
		v.out.Exemplars += f.found.Exemplars
	}
	if v.out.Damaged > 0 {
		return // the figures are bound to differ
	}
	if n := uint32(len(v.series)); n != v.known {
		v.note(v.keyOf(familyLabels), "there are labels of %d series, the summaries tell of %d", n, v.known)
	}
	for _, flush := range v.order {
		f := v.flushes[flush]
		key := v.keyOf(familySummary, flush)
		for _, c := range []struct {
			what      string
			got, want uint64
		}{
			{"samples", f.found.Samples, f.Samples}, {"exemplars", f.found.Exemplars, f.Exemplars},
			{"bytes of chunks", f.found.ChunkBytes, f.ChunkBytes},
		} {
			if c.got != c.want {
				v.note(key, "the summary tells of %d %s, there are %d", c.want, c.what, c.got)
			}
		}
		if f.Samples+f.Exemplars > 0 && (f.found.MinTime != f.MinTime || f.found.MaxTime != f.MaxTime) {
			v.note(key, "the summary tells of times %d to %d, they are %d to %d", f.MinTime, f.MaxTime, f.found.MinTime, f.found.MaxTime)
		}
	}
	if v.sealed != nil && !slices.Equal(v.digest.list(), v.sealed.Digests) {
		v.note(v.keyOf(familySummary), "the digests are not those of the samples")
	}
}
