package keyspace

import (
	"bytes"
	"testing"
)

func FuzzCutString(f *testing.F) {
	for _, s := range []string{"", "\x00\x01", "ab\x00\x01rest", "a\x00\xffb\x00\x01", "a\x00", "a\x00\x02"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, rest, err := CutString(b)
		if err != nil {
			return
		}
		if back := append(AppendString(nil, s), rest...); !bytes.Equal(back, b) {
			t.Fatalf("%x was cut into %q and %x, which encode as %x", b, s, rest, back)
		}
	})
}

func FuzzCutNumbers(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x80, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(back, rest []byte, err error) {
			if err == nil && !bytes.Equal(append(back, rest...), b) {
				t.Fatalf("%x does not round-trip: %x and %x", b, back, rest)
			}
		}
		v16, rest, err := CutUint16(b)
		check(AppendUint16(nil, v16), rest, err)
		v32, rest, err := CutUint32(b)
		check(AppendUint32(nil, v32), rest, err)
		v64, rest, err := CutUint64(b)
		check(AppendUint64(nil, v64), rest, err)
		i64, rest, err := CutInt64(b)
		check(AppendInt64(nil, i64), rest, err)
	})
}
