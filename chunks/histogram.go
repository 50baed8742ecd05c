package chunks

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/internal/fields"
)

// A native histogram in the log and in the head is a self-contained record:
//
//	flags           u8       bit 0 float counts, bits 1-2 counter reset hint
//	schema          varint
//	zero threshold  8 B      float64 bits, little-endian, as all floats here
//	zero count      uvarint, or 8 B for float counts
//	count           uvarint, or 8 B
//	sum             8 B
//	positive spans  uvarint n, then n times (offset varint, length uvarint)
//	negative spans  the same
//	positive counts uvarint n, then n varint deltas, or n times 8 B
//	negative counts the same
//	custom bounds   uvarint n, then n times 8 B
const (
	histogramFloat     = 1
	histogramHintShift = 1
	histogramHintMask  = 3 << histogramHintShift
)

// AppendHistogram appends the record of h to dst.
func AppendHistogram(dst []byte, h *histogram.Histogram) []byte {
	dst = append(dst, byte(h.CounterResetHint)<<histogramHintShift)
	dst = binary.AppendVarint(dst, int64(h.Schema))
	dst = appendFloat64(dst, h.ZeroThreshold)
	dst = binary.AppendUvarint(dst, h.ZeroCount)
	dst = binary.AppendUvarint(dst, h.Count)
	dst = appendFloat64(dst, h.Sum)
	dst = appendSpans(dst, h.PositiveSpans)
	dst = appendSpans(dst, h.NegativeSpans)
	for _, buckets := range [][]int64{h.PositiveBuckets, h.NegativeBuckets} {
		dst = binary.AppendUvarint(dst, uint64(len(buckets)))
		for _, delta := range buckets {
			dst = binary.AppendVarint(dst, delta)
		}
	}
	return appendFloats64(dst, h.CustomValues)
}

// AppendFloatHistogram appends the record of h to dst.
func AppendFloatHistogram(dst []byte, h *histogram.FloatHistogram) []byte {
	dst = append(dst, byte(h.CounterResetHint)<<histogramHintShift|histogramFloat)
	dst = binary.AppendVarint(dst, int64(h.Schema))
	dst = appendFloat64(dst, h.ZeroThreshold)
	dst = appendFloat64(dst, h.ZeroCount)
	dst = appendFloat64(dst, h.Count)
	dst = appendFloat64(dst, h.Sum)
	dst = appendSpans(dst, h.PositiveSpans)
	dst = appendSpans(dst, h.NegativeSpans)
	dst = appendFloats64(dst, h.PositiveBuckets)
	dst = appendFloats64(dst, h.NegativeBuckets)
	return appendFloats64(dst, h.CustomValues)
}

func appendFloat64(dst []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
}

func appendFloats64(dst []byte, fs []float64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(fs)))
	for _, f := range fs {
		dst = appendFloat64(dst, f)
	}
	return dst
}

func appendSpans(dst []byte, spans []histogram.Span) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(spans)))
	for _, s := range spans {
		dst = binary.AppendVarint(dst, int64(s.Offset))
		dst = binary.AppendUvarint(dst, uint64(s.Length))
	}
	return dst
}

// IsFloatHistogram reports whether record holds float counts.
func IsFloatHistogram(record []byte) bool { return record[0]&histogramFloat != 0 }

// DecodeHistogram decodes a record; exactly one of the results is not nil
// unless the record is corrupt. The results own their memory.
func DecodeHistogram(record []byte) (*histogram.Histogram, *histogram.FloatHistogram, error) {
	r := recordReader{fields.New(record)}
	flags := r.Byte()
	hint := histogram.CounterResetHint(flags & histogramHintMask >> histogramHintShift)
	schema := int32(r.Varint())
	threshold := r.Float()
	if flags&histogramFloat != 0 {
		h := &histogram.FloatHistogram{CounterResetHint: hint, Schema: schema, ZeroThreshold: threshold}
		h.ZeroCount, h.Count, h.Sum = r.Float(), r.Float(), r.Float()
		h.PositiveSpans, h.NegativeSpans = r.spans(), r.spans()
		h.PositiveBuckets, h.NegativeBuckets, h.CustomValues = r.floats(), r.floats(), r.floats()
		if err := r.end(); err != nil {
			return nil, nil, err
		}
		return nil, h, nil
	}
	h := &histogram.Histogram{CounterResetHint: hint, Schema: schema, ZeroThreshold: threshold}
	h.ZeroCount, h.Count, h.Sum = r.Uvarint(), r.Uvarint(), r.Float()
	h.PositiveSpans, h.NegativeSpans = r.spans(), r.spans()
	h.PositiveBuckets, h.NegativeBuckets, h.CustomValues = r.varints(), r.varints(), r.floats()
	if err := r.end(); err != nil {
		return nil, nil, err
	}
	return h, nil, nil
}

// CompareHistograms orders two records as the join does: by count, then by the
// bytes of their canonical forms. Records that do not decode compare by bytes.
func CompareHistograms(a, b []byte) int {
	if c := cmp.Compare(histogramCount(a), histogramCount(b)); c != 0 {
		return c
	}
	if bytes.Equal(a, b) {
		return 0
	}
	return bytes.Compare(CanonicalHistogram(a), CanonicalHistogram(b))
}

// CanonicalHistogram returns record without what a chunk may add to a histogram
// or take from it: empty buckets, counter reset hints, and all of a stale marker
// but its sum. The join must not depend on whether a version has been in a chunk.
func CanonicalHistogram(record []byte) []byte {
	h, fh, err := DecodeHistogram(record)
	switch {
	case err != nil:
		return record
	case h != nil && value.IsStaleNaN(h.Sum):
		return AppendHistogram(nil, &histogram.Histogram{Sum: h.Sum})
	case h != nil:
		return withUnknownReset(AppendHistogram(nil, h.Compact(0)))
	case value.IsStaleNaN(fh.Sum):
		return AppendFloatHistogram(nil, &histogram.FloatHistogram{Sum: fh.Sum})
	default:
		return withUnknownReset(AppendFloatHistogram(nil, fh.Compact(0)))
	}
}

// histogramCount returns the count, 0 for a stale marker.
func histogramCount(record []byte) float64 {
	r := recordReader{fields.New(record)}
	isFloat := r.Byte()&histogramFloat != 0
	r.Varint()
	r.Float()
	var count float64
	if isFloat {
		r.Float()
		count = r.Float()
	} else {
		r.Uvarint()
		count = float64(r.Uvarint())
	}
	if value.IsStaleNaN(r.Float()) {
		return 0
	}
	return count
}

// withUnknownReset returns record with its counter reset hint taken back.
// Gauge histograms keep theirs. The input is not changed.
func withUnknownReset(record []byte) []byte {
	hint := histogram.CounterResetHint(record[0] & histogramHintMask >> histogramHintShift)
	if hint == histogram.GaugeType || hint == histogram.UnknownCounterReset {
		return record
	}
	out := bytes.Clone(record)
	out[0] &^= histogramHintMask
	return out
}

// recordReader reads a record's fields.
type recordReader struct{ fields.Reader }

func (r *recordReader) spans() []histogram.Span {
	n := r.Count(2)
	if n == 0 {
		return nil
	}
	spans := make([]histogram.Span, n)
	for i := range spans {
		spans[i] = histogram.Span{Offset: int32(r.Varint()), Length: uint32(r.Uvarint())}
	}
	return spans
}

func (r *recordReader) varints() []int64 {
	n := r.Count(1)
	if n == 0 {
		return nil
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = r.Varint()
	}
	return out
}

func (r *recordReader) floats() []float64 {
	n := r.Count(8)
	if n == 0 {
		return nil
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = r.Float()
	}
	return out
}

func (r *recordReader) end() error {
	if r.Bad() || r.Len() > 0 {
		return fmt.Errorf("%w: histogram record ends at byte %d", ErrCorrupt, r.At())
	}
	return nil
}
