package otlp

import (
	"math"

	"github.com/VictoriaMetrics/easyproto"
)

// fields walks the fields of a message. A field whose wire type is not the one
// that its reader expects ends the walk with an error.
type fields struct {
	easyproto.FieldContext
	rest []byte
	err  error
}

// next steps to the next field.
func (f *fields) next() bool {
	if len(f.rest) == 0 || f.err != nil {
		return false
	}
	f.rest, f.err = f.NextField(f.rest)
	return f.err == nil
}

func (f *fields) check(ok bool) {
	if !ok {
		f.err = errWireType
	}
}

func (f *fields) message() []byte {
	m, ok := f.MessageData()
	f.check(ok)
	return m
}

func (f *fields) bytes() []byte {
	b, ok := f.Bytes()
	f.check(ok)
	return b
}

func (f *fields) fixed64() uint64 {
	v, ok := f.Fixed64()
	f.check(ok)
	return v
}

func (f *fields) float() float64 { return math.Float64frombits(f.fixed64()) }

func (f *fields) varint() uint64 {
	v, ok := f.Uint64()
	f.check(ok)
	return v
}

func (f *fields) sint32() int32 {
	v, ok := f.Sint32()
	f.check(ok)
	return v
}

func (f *fields) fixed64s(dst []uint64) []uint64 {
	dst, ok := f.UnpackFixed64s(dst)
	f.check(ok)
	return dst
}

func (f *fields) varints(dst []uint64) []uint64 {
	dst, ok := f.UnpackUint64s(dst)
	f.check(ok)
	return dst
}

func (f *fields) floats(dst []float64) []float64 {
	dst, ok := f.UnpackDoubles(dst)
	f.check(ok)
	return dst
}
