package series

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
)

// MetricName is the label whose value is the metric's name.
const MetricName = labels.MetricName

// ErrCorruptLabels reports bytes that are not an encoded label set.
var ErrCorruptLabels = errors.New("corrupt label set")

// Labels is an encoded label set, and the identity of a series in everything
// durable: for each label, in ascending order of name, the uvarint length of
// the name, the name, the uvarint length of the value, the value. Names are
// distinct and values are not empty, so equal sets have equal bytes. The byte
// order of two encodings is not the order of the label sets; Compare is.
type Labels []byte

// AppendLabels appends the encoding of ls to dst. Labels with an empty value
// are left out, as they are the same as absent ones.
func AppendLabels(dst []byte, ls labels.Labels) Labels {
	ls.Range(func(l labels.Label) {
		if l.Value != "" {
			dst = appendPair(dst, l.Name, l.Value)
		}
	})
	return dst
}

func appendPair[T string | []byte](dst []byte, name, value T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(name)))
	dst = append(dst, name...)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// CutString splits a length-prefixed string off b.
func CutString(b []byte) (s, rest []byte, ok bool) {
	if len(b) > 0 && b[0] < 0x80 {
		n := int(b[0])
		if len(b)-1 < n {
			return nil, nil, false
		}
		return b[1 : 1+n : 1+n], b[1+n:], true
	}
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	end := w + int(n)
	return b[w:end:end], b[end:], true
}

// CutPair splits the first label off ls. The slices point into ls.
func (ls Labels) CutPair() (name, value []byte, rest Labels, ok bool) {
	name, b, ok := CutString(ls)
	if !ok {
		return nil, nil, nil, false
	}
	value, b, ok = CutString(b)
	return name, value, b, ok
}

// Get returns the value of the label called name, nil when it is absent.
func (ls Labels) Get(name string) []byte {
	for len(ls) > 0 {
		n, v, rest, ok := ls.CutPair()
		if !ok {
			return nil
		}
		if string(n) == name {
			return v
		}
		ls = rest
	}
	return nil
}

// Check returns an error unless ls is a well-formed encoding.
func (ls Labels) Check() error {
	var previous []byte
	for b := ls; len(b) > 0; {
		name, value, rest, ok := b.CutPair()
		if !ok {
			return fmt.Errorf("%w: cut short %d bytes before its end", ErrCorruptLabels, len(b))
		}
		if len(name) == 0 || len(value) == 0 || (previous != nil && bytes.Compare(previous, name) >= 0) {
			return fmt.Errorf("%w: label %q is empty or out of order", ErrCorruptLabels, name)
		}
		previous, b = name, rest
	}
	return nil
}

// Decode converts ls to Prometheus's form, using the builder's memory.
func (ls Labels) Decode(builder *labels.ScratchBuilder) (labels.Labels, error) {
	builder.Reset()
	text := string(ls) // one copy, shared by all names and values
	for at := 0; at < len(text); {
		name, value, rest, ok := ls[at:].CutPair()
		if !ok {
			return labels.EmptyLabels(), fmt.Errorf("%w: cut short at byte %d", ErrCorruptLabels, at)
		}
		end := len(text) - len(rest)
		start := end - len(value)
		nameEnd := start - uvarintLen(len(value))
		builder.Add(text[nameEnd-len(name):nameEnd], text[start:end])
		at = end
	}
	return builder.Labels(), nil
}

func uvarintLen(n int) int {
	width := 1
	for ; n >= 0x80; n >>= 7 {
		width++
	}
	return width
}

// String returns ls in PromQL's notation, for error messages and logs.
func (ls Labels) String() string {
	var builder labels.ScratchBuilder
	decoded, err := ls.Decode(&builder)
	if err != nil {
		return fmt.Sprintf("{%v}", err)
	}
	return decoded.String()
}

// Compare orders label sets as Prometheus does: label by label, name before
// value, a set before its extensions. Both must be well-formed.
func Compare(a, b Labels) int {
	for len(a) > 0 && len(b) > 0 {
		an, av, arest, aok := a.CutPair()
		bn, bv, brest, bok := b.CutPair()
		if !aok || !bok {
			return bytes.Compare(a, b)
		}
		if c := bytes.Compare(an, bn); c != 0 {
			return c
		}
		if c := bytes.Compare(av, bv); c != 0 {
			return c
		}
		a, b = arest, brest
	}
	return len(a) - len(b)
}
