package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Protocol is a version of remote write.
type Protocol int

// The versions of remote write.
const (
	RemoteWrite1 Protocol = 1
	RemoteWrite2 Protocol = 2
)

// headers returns the Content-Type and the version header of p.
func (p Protocol) headers() (contentType, version string) {
	if p == RemoteWrite2 {
		return "application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"
	}
	return "application/x-protobuf", "0.1.0"
}

// A timestamp is always written as a varint of six bytes, which holds the
// milliseconds from early 1971 to 2109.
const (
	timestampBytes = 6
	timestampMin   = 1 << 35
	timestampMax   = 1<<42 - 1
)

var errTimestamp = errors.New("timestamp outside 1971 to 2109")

func checkTimestamp(ms int64) error {
	if ms < timestampMin || ms > timestampMax {
		return fmt.Errorf("%w: %d ms", errTimestamp, ms)
	}
	return nil
}

func putTimestamp(dst []byte, ms int64) { binary.PutUvarint(dst[:timestampBytes], uint64(ms)) }

func putValue(dst []byte, v float64) { binary.LittleEndian.PutUint64(dst, math.Float64bits(v)) }

// A sample is drawn so, in both versions:
//
//	12 10 | 09 value (8 bytes) | 10 timestamp (6 bytes)
const (
	sampleBytes     = 18
	sampleValue     = 3
	sampleTimestamp = 12
)

func appendSample(dst []byte, ms int64, v float64) []byte {
	at := len(dst)
	dst = append(dst, 0x12, 0x10, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0)
	putValue(dst[at+sampleValue:], v)
	putTimestamp(dst[at+sampleTimestamp:], ms)
	return dst
}

// encoder writes the series of one plain body.
type encoder struct {
	protocol Protocol
	symbols  map[string]int // remote write 2.0: numbers of strings
	table    []byte         // remote write 2.0: the strings as fields
	body     []byte
	scratch  []byte
}

func (e *encoder) reset(p Protocol) {
	e.protocol, e.body, e.table = p, e.body[:0], e.table[:0]
	if p == RemoteWrite2 {
		if e.symbols == nil {
			e.symbols = map[string]int{}
		}
		clear(e.symbols)
		e.symbol("")
	}
}

// series adds a series with one sample and returns where the sample begins,
// counted from the first series.
func (e *encoder) series(ls []Label, ms int64, v float64) (sample int) {
	if e.protocol == RemoteWrite2 {
		e.scratch = e.scratch[:0]
		e.references(ls)
		return e.labelled(0x2a, e.scratch, ms, v)
	}
	e.scratch = appendLabels(e.scratch[:0], ls)
	return e.labelled(0x0a, e.scratch, ms, v)
}

// labelled adds a series whose labels are encoded, as a field with the tag.
func (e *encoder) labelled(tag byte, labels []byte, ms int64, v float64) (sample int) {
	e.body = append(e.body, tag)
	e.body = binary.AppendUvarint(e.body, uint64(len(labels)+sampleBytes))
	e.body = append(e.body, labels...)
	sample = len(e.body)
	e.body = appendSample(e.body, ms, v)
	return sample
}

// appendLabels appends labels as remote write 1.0 has them.
func appendLabels(dst []byte, ls []Label) []byte {
	for _, l := range ls {
		n := 2 + uvarintLen(len(l.Name)) + uvarintLen(len(l.Value)) + len(l.Name) + len(l.Value)
		dst = append(dst, 0x0a)
		dst = binary.AppendUvarint(dst, uint64(n))
		dst = appendString(dst, 0x0a, l.Name)
		dst = appendString(dst, 0x12, l.Value)
	}
	return dst
}

// references writes the packed field of symbol numbers to scratch.
func (e *encoder) references(ls []Label) {
	var packed [64]byte
	refs := packed[:0]
	for _, l := range ls {
		refs = binary.AppendUvarint(refs, uint64(e.symbol(l.Name)))
		refs = binary.AppendUvarint(refs, uint64(e.symbol(l.Value)))
	}
	e.scratch = append(e.scratch, 0x0a)
	e.scratch = binary.AppendUvarint(e.scratch, uint64(len(refs)))
	e.scratch = append(e.scratch, refs...)
}

func (e *encoder) symbol(s string) int {
	n, ok := e.symbols[s]
	if !ok {
		n = len(e.symbols)
		e.symbols[s] = n
		e.table = appendString(e.table, 0x22, s)
	}
	return n
}

// plain returns the body, and how far its series were moved by the symbols.
func (e *encoder) plain() (body []byte, moved int) {
	if e.protocol == RemoteWrite1 {
		return e.body, 0
	}
	moved = len(e.table)
	e.table = append(e.table, e.body...)
	return e.table, moved
}

func appendString(dst []byte, tag byte, s string) []byte {
	dst = append(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func uvarintLen(n int) int {
	width := 1
	for ; n >= 0x80; n >>= 7 {
		width++
	}
	return width
}
