package block

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/internal/fields"
	"github.com/varve-db/varve/series"
)

// Slices divides the time of a sealed generation into stretches of equal width,
// the same for all series, so that series that were scraped together have the
// same timestamps in each.
type Slices struct {
	Start int64 // milliseconds
	Width int64
	Count int
}

// of returns the slice of t, the first or the last one for times outside.
func (s Slices) of(t int64) int {
	switch {
	case t < s.Start:
		return 0
	case t >= s.end(s.Count-1):
		return s.Count - 1
	default:
		return int((t - s.Start) / s.Width)
	}
}

// end returns the end (exclusive) of a slice; the last one has none.
func (s Slices) end(slice int) int64 { return s.Start + int64(slice+1)*s.Width }

// sound reports whether there are slices, with ends that do not overflow.
func (s Slices) sound() bool {
	const far = math.MaxInt64 / 2
	return s.Start > -far && s.Start < far && s.Width > 0 && s.Width < far/slicesMax && s.Count >= 1 && s.Count <= slicesMax
}

// slicesMax bounds the cells that a seal builds side by side.
const slicesMax = 24

// PlanSlices divides [start, end], in which series have about perSeries samples
// each, so that a slice of most series fits a column.
func PlanSlices(start, end int64, perSeries uint64) Slices {
	const wanted = 960 // somewhat below column.SamplesMax, for jitter
	count := int(min((perSeries+wanted-1)/wanted, slicesMax))
	s := Slices{Start: start, Count: max(count, 1)}
	s.Width = (end - start + int64(s.Count)) / int64(s.Count)
	return s
}

// Sealed describes a sealed generation beyond its Summary.
type Sealed struct {
	Slices  Slices
	Columns uint32 // distinct timestamp columns
	// Digests are, for each two hours of the window that have samples, the sum
	// modulo 2^128 of a hash of each sample: equal contents have equal digests
	// however they were written.
	Digests []Digest
	// Metrics are the largest metrics by bytes, at most metricsKept.
	Metrics []MetricUse
}

// Digest is the digest of the samples in [Start, Start + 2 h).
type Digest struct {
	Start int64
	Sum   [2]uint64 // low, high
}

// MetricUse is what a metric takes in a sealed generation.
type MetricUse struct {
	Name    string `json:"name"`
	Series  uint64 `json:"numSeries"`
	Samples uint64 `json:"numSamples"`
	Bytes   uint64 `json:"numBytes"` // of values and timestamps, approximately
}

const (
	digestWidth = 2 * 60 * 60 * 1000
	metricsKept = 256
)

// A sealed summary continues with
//
//	slices   varint start less the window's, uvarint width, uvarint count
//	columns  uvarint
//	digests  uvarint number, then for each: varint start less the window's,
//	         16 B sum, little-endian
//	metrics  uvarint number, then for each: name (length-prefixed), uvarint
//	         series, samples, bytes
func (s *Sealed) append(dst []byte, start int64) []byte {
	dst = binary.AppendVarint(dst, s.Slices.Start-start)
	dst = binary.AppendUvarint(dst, uint64(s.Slices.Width))
	dst = binary.AppendUvarint(dst, uint64(s.Slices.Count))
	dst = binary.AppendUvarint(dst, uint64(s.Columns))
	dst = binary.AppendUvarint(dst, uint64(len(s.Digests)))
	for _, d := range s.Digests {
		dst = binary.AppendVarint(dst, d.Start-start)
		dst = binary.LittleEndian.AppendUint64(dst, d.Sum[0])
		dst = binary.LittleEndian.AppendUint64(dst, d.Sum[1])
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Metrics)))
	for _, m := range s.Metrics {
		dst = binary.AppendUvarint(dst, uint64(len(m.Name)))
		dst = append(dst, m.Name...)
		dst = binary.AppendUvarint(dst, m.Series)
		dst = binary.AppendUvarint(dst, m.Samples)
		dst = binary.AppendUvarint(dst, m.Bytes)
	}
	return dst
}

func decodeSealed(b []byte, start int64) (*Sealed, error) {
	f := fields.New(b)
	s := &Sealed{}
	s.Slices.Start = start + f.Varint()
	s.Slices.Width, s.Slices.Count = int64(f.Uvarint()), int(f.Uvarint())
	s.Columns = uint32(f.Uvarint())
	for range f.Count(17) {
		d := Digest{Start: start + f.Varint()}
		if sum := f.Take(16); sum != nil {
			d.Sum = [2]uint64{binary.LittleEndian.Uint64(sum), binary.LittleEndian.Uint64(sum[8:])}
		}
		s.Digests = append(s.Digests, d)
	}
	for range f.Count(4) {
		m := MetricUse{Name: string(f.Take(f.Uvarint()))}
		m.Series, m.Samples, m.Bytes = f.Uvarint(), f.Uvarint(), f.Uvarint()
		s.Metrics = append(s.Metrics, m)
	}
	if f.Bad() || f.Len() > 0 || !s.Slices.sound() {
		return nil, fmt.Errorf("%w: sealed summary", ErrCorrupt)
	}
	return s, nil
}

// CompareSealed orders label sets as a sealed generation numbers them: metric
// name first, then the other labels, le last and by number, so that the series
// of a metric, and the buckets of a histogram, are neighbours.
func CompareSealed(a, b series.Labels) int {
	if c := bytes.Compare(a.Get(series.MetricName), b.Get(series.MetricName)); c != 0 {
		return c
	}
	var la, lb []byte
	for {
		var an, av, bn, bv []byte
		an, av, a, la = cutOther(a, la)
		bn, bv, b, lb = cutOther(b, lb)
		if an == nil || bn == nil {
			if an == nil && bn == nil {
				return compareBounds(la, lb)
			}
			return cmp.Compare(len(an), len(bn)) // the one that has ended is the lower
		}
		if c := cmp.Or(bytes.Compare(an, bn), bytes.Compare(av, bv)); c != 0 {
			return c
		}
	}
}

// cutOther splits off the first label that is neither the metric name nor le,
// whose value it returns instead.
func cutOther(ls series.Labels, le []byte) (name, value []byte, rest series.Labels, _ []byte) {
	for len(ls) > 0 {
		n, v, after, ok := ls.CutPair()
		if !ok {
			break
		}
		switch ls = after; string(n) {
		case series.MetricName:
		case "le":
			le = v
		default:
			return n, v, ls, le
		}
	}
	return nil, nil, nil, le
}

// compareBounds compares values of le: absent, numbers, then other texts.
func compareBounds(a, b []byte) int {
	x, xerr := strconv.ParseFloat(string(a), 64)
	y, yerr := strconv.ParseFloat(string(b), 64)
	switch {
	case a == nil || b == nil:
		return cmp.Compare(len(a), len(b))
	case xerr == nil && yerr == nil:
		return cmp.Or(cmp.Compare(x, y), bytes.Compare(a, b))
	case xerr == nil:
		return -1
	case yerr == nil:
		return 1
	default:
		return bytes.Compare(a, b)
	}
}

// digester sums the hashes of samples by two hours.
type digester struct {
	sums  map[int64]*[2]uint64
	start int64 // of the current two hours
	sum   *[2]uint64
}

// add adds the samples of a series.
func (d *digester) add(ls series.Labels, c *chunks.Columns) {
	h := xxh3.Hash128(ls)
	for i, t := range c.Times {
		start := int64(0)
		if len(c.Starts) > 0 {
			start = c.Starts[i]
		}
		d.sample(h, t, start, floatBits(c.Values[i]))
	}
	for _, s := range c.Histograms {
		d.sample(h, s.Time, s.Start, xxh3.Hash(chunks.CanonicalHistogram(s.Histogram)))
	}
}

// sample adds a sample. The hash multiplies and folds 64-bit words, as wyhash
// does (Wang Yi, 2019).
func (d *digester) sample(h xxh3.Uint128, t, start int64, value uint64) {
	if d.sum == nil || t < d.start || t >= d.start+digestWidth {
		d.start = t - t%digestWidth
		if d.start > t {
			d.start -= digestWidth
		}
		if d.sum = d.sums[d.start]; d.sum == nil {
			if d.sums == nil {
				d.sums = map[int64]*[2]uint64{}
			}
			d.sum = new([2]uint64)
			d.sums[d.start] = d.sum
		}
	}
	low := fold(h.Lo^uint64(t)*0x9e3779b97f4a7c15, value^0xd6e8feb86659fd93)
	high := fold(h.Hi^value*0xc2b2ae3d27d4eb4f, uint64(t)^bits.RotateLeft64(uint64(start), 32)^low)
	var carry uint64
	d.sum[0], carry = bits.Add64(d.sum[0], low, 0)
	d.sum[1], _ = bits.Add64(d.sum[1], high, carry)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a|1, b|1)
	return hi ^ lo ^ a ^ bits.RotateLeft64(b, 29)
}

// list returns the digests in order of time.
func (d *digester) list() []Digest {
	out := make([]Digest, 0, len(d.sums))
	for start, sum := range d.sums {
		out = append(out, Digest{start, *sum})
	}
	slices.SortFunc(out, func(a, b Digest) int { return cmp.Compare(a.Start, b.Start) })
	return out
}
