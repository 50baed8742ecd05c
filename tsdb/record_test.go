package tsdb

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/internal/fields"
	"github.com/varve-db/varve/series"
)

// goldenBatch is a batch with everything that a record can hold.
func goldenBatch() (*series.Batch, []index.Ref, []int) {
	b := new(series.Batch)
	b.AddEncodedRow(series.AppendLabels(nil, labels.FromStrings("__name__", "up", "job", "a")))
	b.AddSample(1700000000000, 0, 1)
	b.AddSample(1700000015000, 1699999990000, -300)
	b.AddEncodedRow(series.AppendLabels(nil, labels.FromStrings("__name__", "up", "job", "b")))
	b.AddSample(1700000015000, 0, 0.1)
	b.AddSample(1700000030000, 0, math.Float64frombits(staleBits))
	b.AddSample(1700000030000, 0, 0)
	b.AddEncodedRow(series.AppendLabels(nil, labels.FromStrings("__name__", "h")))
	b.AddHistogram(series.Histogram{Timestamp: 1700000000000, Start: 1699999990000, Int: &histogram.Histogram{
		Schema: 1, ZeroThreshold: 0.5, ZeroCount: 1, Count: 6, Sum: 2.5,
		PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}}, PositiveBuckets: []int64{2, 1},
	}})
	b.AddHistogram(series.Histogram{Timestamp: 1700000015000, Float: &histogram.FloatHistogram{
		Schema: histogram.CustomBucketsSchema, Count: 1.5, Sum: 3,
		PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{1.5}, CustomValues: []float64{2},
	}})
	b.AddEncodedExemplar(1700000000123, 0.25, series.AppendLabels(nil, labels.FromStrings("trace_id", "x")))
	b.AddEncodedRow(series.AppendLabels(nil, labels.FromStrings("__name__", "left_out")))
	b.AddSample(1, 0, 1)
	return b, []index.Ref{7, 8, 3, 0}, []int{0, 2}
}

var goldenHeader = recordHeader{Origin: 0, Counter: 5, Clock: 1700000000000<<16 | 2, Tenant: 9}

// goldenRecord is the record of goldenBatch, field by field.
const goldenRecord = "01" + "00" + // version, flags
	"00" + "05" + "828080c0d6fcf3c501" + "09" + // origin, counter, clock, tenant
	"02" + "21" + // two registrations in 33 bytes
	"0e" + "12" + "085f5f6e616d655f5f" + "027570" + "036a6f62" + "0161" + // ref 7
	"07" + "0b" + "085f5f6e616d655f5f" + "0168" + // ref 3
	"05" + // floats: header, ref, time, start, value
	"48" + "0e" + "80a0abfef962" + "02" + // 1 as an integer of one byte
	"54" + "00" + "b0ea01" + "d08603" + "5702" + // with a start; -300 in two bytes
	"43" + "9a9999999999b93f" + // the next ref at the same time: 0.1
	"80" + "00" + "b0ea01" + // a stale marker
	"02" + "00" + // 0 at the same time
	"02" + // histograms: ref, time, start, length, record
	"06" + "80a0abfef962" + "01a09c01" + "1d" +
	"00" + "02" + "000000000000e03f" + "01" + "06" + "0000000000000440" + "010102" + "00" + "020402" + "00" + "00" +
	"00" + "b0ea01" + "00" + "39" +
	"01" + "69" + "0000000000000000" + "0000000000000000" + "000000000000f83f" + "0000000000000840" +
	"010001" + "00" + "01000000000000f83f" + "00" + "010000000000000040" +
	"01" + // exemplars: ref, time, value, labels
	"06" + "f6a1abfef962" + "000000000000d03f" + "0b" + "0874726163655f6964" + "0178"

func TestRecordGolden(t *testing.T) {
	b, refs, register := goldenBatch()
	var w recordWriter
	got := w.append(nil, goldenHeader, b, refs, register)
	if text := hex.EncodeToString(got); text != goldenRecord {
		t.Errorf("got  %s\nwant %s", text, goldenRecord)
	}
	var rec record
	if err := rec.decode(got); err != nil {
		t.Fatal(err)
	}
	if rec.recordHeader != goldenHeader {
		t.Errorf("header %+v, want %+v", rec.recordHeader, goldenHeader)
	}
	if err := sameRecord(&rec, b, refs, register); err != nil {
		t.Error(err)
	}
}

// TestRecordGoldenCompressed pins a record whose registrations are compressed.
// The compressor may change, so what it wrote is pinned for the decoder only.
func TestRecordGoldenCompressed(t *testing.T) {
	const golden = "01" + "01" + "00" + "01" + "00" + "00" + // version, flags, origin, counter, clock, tenant
		"03" + "%s" + // three registrations
		"00" + "00" + "00" // no samples
	plain := bytes.Buffer{}
	for i := range 3 {
		ls := series.AppendLabels(nil, labels.FromStrings("__name__", "m", "long", strings.Repeat("x", 100)+fmt.Sprint(i)))
		plain.Write([]byte{2, byte(len(ls))})
		plain.Write(ls)
	}
	// An s2 block: the length, one literal of the first set, one copy of 238
	// bytes from 120 before, as the sets differ in one digit only.
	first := plain.Bytes()[:120]
	block := append([]byte{0xe8, 0x02, 60 << 2, 119}, first...)
	block = append(block, emitCopies(plain.Bytes(), 120)...)
	src, err := hex.DecodeString(fmt.Sprintf(golden, hex.EncodeToString(append([]byte{byte(len(block)) | 0x80, byte(len(block) >> 7)}, block...))))
	if err != nil {
		t.Fatal(err)
	}
	var rec record
	if err := rec.decode(src); err != nil {
		t.Fatal(err)
	}
	for i, r := range rec.Registrations {
		if r.Ref != index.Ref(i+1) || string(r.Labels.Get("long")) != strings.Repeat("x", 100)+fmt.Sprint(i) {
			t.Errorf("registration %d: ref %d, labels %s", i, r.Ref, r.Labels)
		}
	}
	if len(rec.Registrations) != 3 {
		t.Errorf("%d registrations, want 3", len(rec.Registrations))
	}
}

// emitCopies codes src[from:], which repeats what stands period bytes before but
// for the last byte of each period, as snappy copies and literals.
func emitCopies(src []byte, period int) (dst []byte) {
	for at := period; at < len(src); {
		n := 0
		for n < 60 && at+n < len(src) && src[at+n] == src[at+n-period] {
			n++
		}
		if n < 4 {
			dst = append(dst, 0, src[at])
			at++
			continue
		}
		dst = append(dst, byte(n-1)<<2|2, byte(period), byte(period>>8))
		at += n
	}
	return dst
}

// sameRecord compares a decoded record with what was put into it.
func sameRecord(rec *record, b *series.Batch, refs []index.Ref, register []int) error {
	var want, got []string
	for _, i := range register {
		if refs[i] != 0 {
			want = append(want, fmt.Sprintf("%d is %s", refs[i], b.Labels(i)))
		}
	}
	for _, r := range rec.Registrations {
		got = append(got, fmt.Sprintf("%d is %s", r.Ref, r.Labels))
	}
	list := func(b *series.Batch, refs []index.Ref) (floats, others []string) {
		for r, row := range b.Rows {
			if refs[r] == 0 {
				continue
			}
			for i := row.Samples.Start; i < row.Samples.End; i++ {
				floats = append(floats, fmt.Sprintf("%d: %d %d %#x", refs[r], b.Timestamps[i], b.StartOf(i), math.Float64bits(b.Values[i])))
			}
			for _, h := range b.Histograms[row.Histograms.Start:row.Histograms.End] {
				others = append(others, fmt.Sprintf("h %d: %+v", refs[r], chunks.HistogramSample(h)))
			}
		}
		for r, row := range b.Rows {
			for i := row.Exemplars.Start; i < row.Exemplars.End && refs[r] != 0; i++ {
				x := b.Exemplars[i]
				others = append(others, fmt.Sprintf("x %d: %d %#x %s", refs[r], x.Timestamp, math.Float64bits(x.Value), b.ExemplarLabels(i)))
			}
		}
		return floats, others
	}
	floats, others := list(b, refs)
	want = append(append(want, floats...), others...)
	floats, others = list(&rec.Batch, rec.Refs)
	got = append(append(got, floats...), others...)
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(want):
			return fmt.Errorf("more than was put in: %s", got[i])
		case i >= len(got):
			return fmt.Errorf("missing: %s", want[i])
		case got[i] != want[i]:
			return fmt.Errorf("got %s, want %s", got[i], want[i])
		}
	}
	return nil
}

// randomRecordBatch makes a batch with refs and the rows to register.
func randomRecordBatch(r *rand.Rand) (*series.Batch, []index.Ref, []int) {
	b := new(series.Batch)
	var refs []index.Ref
	var register []int
	last := index.Ref(1 + r.IntN(1<<30))
	for i := range r.IntN(12) {
		b.AddEncodedRow(series.AppendLabels(nil, labels.FromStrings("__name__", "m", "i", fmt.Sprint(r.IntN(1000)), "text", strings.Repeat("y", r.IntN(60)))))
		switch r.IntN(4) {
		case 0:
			last = index.Ref(1 + r.Uint32N(math.MaxUint32-100))
		default:
			last++
		}
		ref := last
		if r.IntN(8) == 0 {
			ref = 0
		}
		refs = append(refs, ref)
		if r.IntN(2) == 0 {
			register = append(register, i)
		}
		for range r.IntN(5) {
			start := int64(0)
			if r.IntN(4) == 0 {
				start = int64(r.Uint64())
			}
			b.AddSample(randomInt(r), start, math.Float64frombits(randomFloatBits(r)))
		}
		for range r.IntN(2) {
			h, fh, err := chunks.DecodeHistogram(randomHistogram(r))
			if err != nil {
				panic(err)
			}
			b.AddHistogram(series.Histogram{Timestamp: randomInt(r), Start: r.Int64N(3), Int: h, Float: fh})
		}
		if r.IntN(3) == 0 {
			b.AddEncodedExemplar(randomInt(r), math.Float64frombits(randomFloatBits(r)), series.AppendLabels(nil, labels.FromStrings("t", fmt.Sprint(i))))
		}
	}
	return b, refs, register
}

func randomInt(r *rand.Rand) int64 {
	if r.IntN(2) == 0 {
		return 1700000000000 + r.Int64N(3)
	}
	return int64(r.Uint64()) >> r.IntN(64)
}

func randomFloatBits(r *rand.Rand) uint64 {
	switch r.IntN(4) {
	case 0:
		return r.Uint64() >> r.IntN(64) << r.IntN(64)
	case 1:
		return math.Float64bits(float64(int64(r.Uint64()) >> r.IntN(64)))
	default:
		return []uint64{0, 1 << 63, staleBits, 0x7ff8000000000001, math.Float64bits(0.1), math.Float64bits(-1)}[r.IntN(6)]
	}
}

func TestRecordRoundTrip(t *testing.T) {
	var w recordWriter
	var rec record // reused, as a replay does
	var buffer []byte
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 5))
		b, refs, register := randomRecordBatch(r)
		h := recordHeader{Origin: r.Uint64(), Counter: r.Uint64() >> r.IntN(64), Clock: r.Uint64(), Tenant: series.TenantID(r.Uint32())}
		buffer = w.append(buffer[:0], h, b, refs, register)
		if err := rec.decode(buffer); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if rec.recordHeader != h {
			t.Fatalf("seed %d: header %+v, want %+v", seed, rec.recordHeader, h)
		}
		if err := sameRecord(&rec, b, refs, register); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		cut := buffer[:r.IntN(len(buffer))]
		if err := rec.decode(cut); !errors.Is(err, errCorruptRecord) {
			t.Fatalf("seed %d: %d of %d bytes gave %v", seed, len(cut), len(buffer), err)
		}
	}
}

func TestRecordRefuses(t *testing.T) {
	valid, err := hex.DecodeString(goldenRecord)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, src string }{
		{"empty", ""},
		{"version 2", "02" + goldenRecord[2:]},
		{"an unknown flag", "0102" + goldenRecord[4:]},
		{"a byte too many", goldenRecord + "00"},
		{"an endless uvarint", "0100" + strings.Repeat("ff", 11)},
		{"more floats than bytes", "0100" + "00000000" + "0000" + "ff01" + "0000"},
		{"fewer registrations than said", "0100" + "00000000" + "0203" + "020102" + "000000"},
		{"a ref of 0", "0100" + "00000000" + "0000" + "01" + "0000" + "0000"},
		{"a value class of 17", "0100" + "00000000" + "0000" + "01" + "880202" + "0000"},
		{"compressed registrations that are not", "0101" + "00000000" + "0101ff" + "000000"},
		{"two gigabytes of registrations", "0101" + "00000000" + "0106" + "8080808008" + "00" + "000000"},
	} {
		src, err := hex.DecodeString(c.src)
		if err != nil {
			t.Fatal(err)
		}
		var rec record
		if err := rec.decode(src); !errors.Is(err, errCorruptRecord) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	for i := range valid { // every cut
		var rec record
		if err := rec.decode(valid[:i]); !errors.Is(err, errCorruptRecord) {
			t.Errorf("cut after %d bytes: got %v", i, err)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	golden, err := hex.DecodeString(goldenRecord)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	var w recordWriter
	for seed := range uint64(20) {
		b, refs, register := randomRecordBatch(rand.New(rand.NewPCG(seed, 6)))
		f.Add(w.append(nil, recordHeader{Counter: seed}, b, refs, register))
	}
	f.Add([]byte{1, 1, 0, 0, 0, 0, 1, 5, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, src []byte) {
		var rec record
		if claimsMuch(src) {
			return // allowed, but slow to try over and over
		}
		if err := rec.decode(src); err != nil {
			if !errors.Is(err, errCorruptRecord) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		// Rows and samples take at least a byte each.
		if n := len(rec.Batch.Rows) + len(rec.Batch.Timestamps) + len(rec.Batch.Histograms) + len(rec.Batch.Exemplars); n > 2*len(src) {
			t.Fatalf("%d elements out of %d bytes", n, len(src))
		}
		// What was decoded survives another round. Rows of one ref may merge.
		b, register := rec.Batch, []int(nil)
		var w recordWriter
		var again record
		if err := again.decode(w.append(nil, rec.recordHeader, &b, rec.Refs, register)); err != nil {
			t.Fatalf("what was decoded and encoded again: %v", err)
		}
		if again.recordHeader != rec.recordHeader {
			t.Fatalf("header %+v became %+v", rec.recordHeader, again.recordHeader)
		}
		if err := sameRecord(&again, &b, rec.Refs, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// claimsMuch reports whether src says that its registrations decompress to more
// than a few megabytes.
func claimsMuch(src []byte) bool {
	if len(src) < 2 || src[1]&recordCompressed == 0 {
		return false
	}
	r := recordReader{fields.New(src)}
	r.Take(2)
	for range 5 {
		r.Uvarint()
	}
	n, err := s2.DecodedLen(r.Take(r.Uvarint()))
	return err == nil && n > 4<<20
}
