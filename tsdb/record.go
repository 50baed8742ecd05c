package tsdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/internal/fields"
	"github.com/varve-db/varve/series"
)

// errCorruptRecord reports a log row that does not decode.
var errCorruptRecord = errors.New("corrupt log record")

// A log record is the value of W | epoch | sequence: one write batch. It is
// self-contained within its epoch: whoever replays all of an epoch's records in
// order of sequence knows the labels of every reference.
//
//	version        u8       1
//	flags          u8       bit 0: the registrations are compressed with s2
//	origin         uvarint  0: the node and incarnation that own the folder
//	counter        uvarint  of the origin's batches
//	clock          uvarint  hybrid logical clock: milliseconds << 16 | count
//	tenant         uvarint
//	registrations  uvarint number, uvarint bytes, then for each:
//	               varint ref less the last one, labels (length-prefixed)
//	floats         uvarint number, then samples as appendFloatSample writes them
//	histograms     uvarint number, then for each: varint ref less the last one,
//	               varint time less the last one, u8 0: no start, or 1 and
//	               varint time less start, histogram record (length-prefixed)
//	exemplars      uvarint number, then for each: varint ref less the last one,
//	               varint time less the last one, value 8 B little-endian,
//	               labels (length-prefixed)
const (
	recordVersion    = 1
	recordCompressed = 1

	registrationCompressMin = 256 // bytes, below which compression is not tried
)

// recordHeader is what precedes a record's contents.
type recordHeader struct {
	Origin  uint64
	Counter uint64
	Clock   uint64
	Tenant  series.TenantID
}

// recordWriter appends records; it keeps its buffers between calls.
type recordWriter struct {
	registrations []byte
	histogram     []byte
	compressed    []byte
}

// append appends the record of batch to dst. Rows whose ref is 0 are left out;
// register lists the rows whose labels it carries.
func (w *recordWriter) append(dst []byte, h recordHeader, batch *series.Batch, refs []index.Ref, register []int) []byte {
	flagsAt := len(dst) + 1
	dst = append(dst, recordVersion, 0)
	dst = binary.AppendUvarint(dst, h.Origin)
	dst = binary.AppendUvarint(dst, h.Counter)
	dst = binary.AppendUvarint(dst, h.Clock)
	dst = binary.AppendUvarint(dst, uint64(h.Tenant))

	var compressed bool
	if dst, compressed = w.appendRegistrations(dst, batch, refs, register); compressed {
		dst[flagsAt] |= recordCompressed
	}
	floats, histograms, exemplars := 0, 0, 0
	for i := range batch.Rows {
		if row := &batch.Rows[i]; refs[i] != 0 {
			floats += row.Samples.Len()
			histograms += row.Histograms.Len()
			exemplars += row.Exemplars.Len()
		}
	}
	dst = binary.AppendUvarint(dst, uint64(floats))
	dst = appendFloatSamples(dst, batch, refs)
	dst = binary.AppendUvarint(dst, uint64(histograms))
	if histograms > 0 {
		dst = w.appendHistograms(dst, batch, refs)
	}
	dst = binary.AppendUvarint(dst, uint64(exemplars))
	if exemplars > 0 {
		dst = appendExemplarSamples(dst, batch, refs)
	}
	return dst
}

func (w *recordWriter) appendRegistrations(dst []byte, batch *series.Batch, refs []index.Ref, register []int) ([]byte, bool) {
	block := w.registrations[:0]
	last := index.Ref(0)
	number := 0
	for _, i := range register {
		if refs[i] == 0 {
			continue
		}
		block = binary.AppendVarint(block, int64(refs[i])-int64(last))
		last = refs[i]
		ls := batch.Labels(i)
		block = binary.AppendUvarint(block, uint64(len(ls)))
		block = append(block, ls...)
		number++
	}
	w.registrations = block
	dst = binary.AppendUvarint(dst, uint64(number))
	if len(block) < registrationCompressMin {
		dst = binary.AppendUvarint(dst, uint64(len(block)))
		return append(dst, block...), false
	}
	if n := s2.MaxEncodedLen(len(block)); cap(w.compressed) < n {
		w.compressed = make([]byte, n)
	}
	encoded := s2.EncodeBetter(w.compressed[:cap(w.compressed)], block)
	dst = binary.AppendUvarint(dst, uint64(len(encoded)))
	return append(dst, encoded...), true
}

// A float sample in a record is
//
//	header  u8      bit 0: the ref is one above the last sample's; bit 1: the
//	                time is the last sample's; bit 2: it has a start; bits 3-7:
//	                value class
//	ref     varint  less the last sample's, if bit 0 is clear
//	time    varint  less the last sample's, if bit 1 is clear
//	start   varint  time less start, if bit 2 is set
//	value   0..8 B  little-endian, by class: 0: the float is +0; 1..8: that many
//	                high bytes of the float, the others are 0; 9..15: an integer
//	                as zigzag of 1..7 bytes; 16: the stale marker
//
// No value depends on an earlier one, so that order does not matter to it.
const (
	sampleNextRef  = 1
	sampleSameTime = 2
	sampleStart    = 4

	classShift   = 3
	classInteger = 8 // plus the number of bytes
	classStale   = 16
)

func appendFloatSamples(dst []byte, batch *series.Batch, refs []index.Ref) []byte {
	lastRef, lastTime := index.Ref(0), int64(0)
	hasStarts := len(batch.Starts) > 0
	for r := range batch.Rows {
		ref := refs[r]
		if ref == 0 {
			continue
		}
		span := batch.Rows[r].Samples
		for i := span.Start; i < span.End; i++ {
			at := len(dst)
			dst = append(dst, 0)
			header := byte(0)
			if ref == lastRef+1 {
				header = sampleNextRef
			} else {
				dst = binary.AppendVarint(dst, int64(ref)-int64(lastRef))
			}
			lastRef = ref
			t := batch.Timestamps[i]
			if t == lastTime {
				header |= sampleSameTime
			} else {
				dst = binary.AppendVarint(dst, t-lastTime)
				lastTime = t
			}
			if hasStarts && batch.Starts[i] != 0 {
				header |= sampleStart
				dst = binary.AppendVarint(dst, t-batch.Starts[i])
			}
			class, raw, width := classify(math.Float64bits(batch.Values[i]))
			dst = binary.LittleEndian.AppendUint64(dst, raw)
			dst = dst[:len(dst)-8+width]
			dst[at] = header | class<<classShift
		}
	}
	return dst
}

// classify returns the class of a float and its width bytes, little-endian in raw.
func classify(b uint64) (class byte, raw uint64, width int) {
	if b == 0 {
		return 0, 0, 0
	}
	if b == value.StaleNaN {
		return classStale, 0, 0
	}
	trailing := bits.TrailingZeros64(b) / 8
	width = 8 - trailing
	f := math.Float64frombits(b)
	if i := int64(f); width > 1 && math.Abs(f) < 1<<53 && math.Float64bits(float64(i)) == b {
		u := uint64(i<<1) ^ uint64(i>>63)
		if n := (bits.Len64(u) + 7) / 8; n < width {
			return byte(classInteger + n), u, n
		}
	}
	return byte(width), b >> (8 * trailing), width
}

func (w *recordWriter) appendHistograms(dst []byte, batch *series.Batch, refs []index.Ref) []byte {
	lastRef, lastTime := index.Ref(0), int64(0)
	for r := range batch.Rows {
		if refs[r] == 0 {
			continue
		}
		span := batch.Rows[r].Histograms
		for _, h := range batch.Histograms[span.Start:span.End] {
			dst = binary.AppendVarint(dst, int64(refs[r])-int64(lastRef))
			dst = binary.AppendVarint(dst, h.Timestamp-lastTime)
			if h.Start == 0 {
				dst = append(dst, 0)
			} else {
				dst = binary.AppendVarint(append(dst, 1), h.Timestamp-h.Start)
			}
			if h.Int != nil {
				w.histogram = chunks.AppendHistogram(w.histogram[:0], h.Int)
			} else {
				w.histogram = chunks.AppendFloatHistogram(w.histogram[:0], h.Float)
			}
			dst = binary.AppendUvarint(dst, uint64(len(w.histogram)))
			dst = append(dst, w.histogram...)
			lastRef, lastTime = refs[r], h.Timestamp
		}
	}
	return dst
}

func appendExemplarSamples(dst []byte, batch *series.Batch, refs []index.Ref) []byte {
	lastRef, lastTime := index.Ref(0), int64(0)
	for r := range batch.Rows {
		if refs[r] == 0 {
			continue
		}
		span := batch.Rows[r].Exemplars
		for i := span.Start; i < span.End; i++ {
			x := &batch.Exemplars[i]
			dst = binary.AppendVarint(dst, int64(refs[r])-int64(lastRef))
			dst = binary.AppendVarint(dst, x.Timestamp-lastTime)
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x.Value))
			ls := batch.ExemplarLabels(i)
			dst = binary.AppendUvarint(dst, uint64(len(ls)))
			dst = append(dst, ls...)
			lastRef, lastTime = refs[r], x.Timestamp
		}
	}
	return dst
}

// record is a decoded log record. Its batch has rows without labels; Refs are
// the rows' references in the log's epoch.
type record struct {
	recordHeader
	Registrations []registration
	Refs          []index.Ref
	Batch         series.Batch
	plain         []byte // registrations, decompressed
}

// registration tells the labels of a reference.
type registration struct {
	Ref    index.Ref
	Labels series.Labels
}

// recordReader reads a record's fields.
type recordReader struct{ fields.Reader }

// ref reads a reference relative to last.
func (r *recordReader) ref(last index.Ref) index.Ref {
	ref := int64(last) + r.Varint()
	if ref <= 0 || ref > math.MaxUint32 {
		r.Fail()
		return 1
	}
	return index.Ref(ref)
}

// decode reads a record; r's memory is reused. The registrations' labels are
// valid until the next call.
func (rec *record) decode(src []byte) error {
	rec.Batch.Reset()
	rec.Registrations, rec.Refs = rec.Registrations[:0], rec.Refs[:0]
	if len(src) < 2 || src[0] != recordVersion || src[1]&^recordCompressed != 0 {
		return fmt.Errorf("%w: %d bytes of an unknown version", errCorruptRecord, len(src))
	}
	r := &recordReader{fields.New(src)}
	r.Take(2)
	rec.Origin, rec.Counter, rec.Clock = r.Uvarint(), r.Uvarint(), r.Uvarint()
	rec.Tenant = series.TenantID(r.Uvarint())
	number := r.Uvarint()
	block := r.Take(r.Uvarint())
	if src[1]&recordCompressed != 0 && !r.Bad() {
		n, err := s2.DecodedLen(block)
		if err != nil || n > registrationBytesMax {
			return fmt.Errorf("%w: compressed registrations", errCorruptRecord)
		}
		if rec.plain, err = s2.Decode(rec.plain[:cap(rec.plain)], block); err != nil {
			return fmt.Errorf("%w: registrations: %w", errCorruptRecord, err)
		}
		block = rec.plain
	}
	if err := rec.decodeRegistrations(block, number); err != nil {
		return err
	}
	rec.decodeFloats(r)
	if err := rec.decodeHistograms(r); err != nil {
		return err
	}
	if err := rec.decodeExemplars(r); err != nil {
		return err
	}
	if r.Bad() || r.Len() > 0 {
		return fmt.Errorf("%w: of %d bytes, ends at %d", errCorruptRecord, len(src), r.At())
	}
	return nil
}

// registrationBytesMax bounds what a record's registrations may decompress to.
const registrationBytesMax = 1 << 30

func (rec *record) decodeRegistrations(block []byte, number uint64) error {
	b := recordReader{fields.New(block)}
	last := index.Ref(0)
	for b.Len() > 0 {
		last = b.ref(last)
		ls := series.Labels(b.Take(b.Uvarint()))
		if b.Bad() || ls.Check() != nil {
			return fmt.Errorf("%w: registration %d", errCorruptRecord, len(rec.Registrations))
		}
		rec.Registrations = append(rec.Registrations, registration{last, ls})
	}
	if b.Bad() || uint64(len(rec.Registrations)) != number {
		return fmt.Errorf("%w: %d of %d registrations", errCorruptRecord, len(rec.Registrations), number)
	}
	return nil
}

// row makes sure that the batch's last row is for ref.
func (rec *record) row(ref index.Ref) {
	if n := len(rec.Refs); n == 0 || rec.Refs[n-1] != ref {
		rec.Batch.AddEncodedRow(nil)
		rec.Refs = append(rec.Refs, ref)
	}
}

func (rec *record) decodeFloats(r *recordReader) {
	lastRef, lastTime := index.Ref(0), int64(0)
	for range r.Count(1) {
		header := r.Take(1)
		if r.Bad() {
			return
		}
		h := header[0]
		if h&sampleNextRef != 0 {
			lastRef++
		} else {
			lastRef = r.ref(lastRef)
		}
		if h&sampleSameTime == 0 {
			lastTime += r.Varint()
		}
		start := int64(0)
		if h&sampleStart != 0 {
			start = lastTime - r.Varint()
		}
		class := int(h >> classShift)
		width := class
		if class > classInteger {
			width = class - classInteger
		}
		if class >= classStale {
			width = 0
		}
		var raw [8]byte
		copy(raw[:], r.Take(uint64(width)))
		u := binary.LittleEndian.Uint64(raw[:])
		switch {
		case class > classStale || lastRef == 0:
			r.Fail()
			return
		case class == classStale:
			u = value.StaleNaN
		case class > classInteger:
			u = math.Float64bits(float64(int64(u>>1) ^ -int64(u&1)))
		case class > 0:
			u <<= 8 * (8 - width)
		}
		rec.row(lastRef)
		rec.Batch.AddSample(lastTime, start, math.Float64frombits(u))
	}
}

func (rec *record) decodeHistograms(r *recordReader) error {
	lastRef, lastTime := index.Ref(0), int64(0)
	for range r.Count(1) {
		lastRef = r.ref(lastRef)
		lastTime += r.Varint()
		h := series.Histogram{Timestamp: lastTime}
		if r.Uvarint() != 0 {
			h.Start = lastTime - r.Varint()
		}
		blob := r.Take(r.Uvarint())
		if r.Bad() {
			return nil // the caller reports it
		}
		var err error
		if h.Int, h.Float, err = chunks.DecodeHistogram(blob); err != nil {
			return fmt.Errorf("%w: %w", errCorruptRecord, err)
		}
		rec.row(lastRef)
		rec.Batch.AddHistogram(h)
	}
	return nil
}

func (rec *record) decodeExemplars(r *recordReader) error {
	lastRef, lastTime := index.Ref(0), int64(0)
	for range r.Count(1) {
		lastRef = r.ref(lastRef)
		lastTime += r.Varint()
		value := r.Take(8)
		ls := series.Labels(r.Take(r.Uvarint()))
		if r.Bad() {
			return nil // the caller reports it
		}
		if err := ls.Check(); err != nil {
			return fmt.Errorf("%w: %w", errCorruptRecord, err)
		}
		rec.row(lastRef)
		rec.Batch.AddEncodedExemplar(lastTime, math.Float64frombits(binary.LittleEndian.Uint64(value)), ls)
	}
	return nil
}
