package keyspace

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/varve-db/varve/kv"
)

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name, want string
		got        []byte
	}{
		{"empty string", "0001", AppendString(nil, "")},
		{"string", "61620001", AppendString(nil, "ab")},
		{"string with nul", "6100ff620001", AppendString(nil, []byte("a\x00b"))},
		{"string with ff", "ff0001", AppendString(nil, "\xff")},
		{"uint16", "0102", AppendUint16(nil, 0x0102)},
		{"uint32", "01020304", AppendUint32(nil, 0x01020304)},
		{"uint64", "0102030405060708", AppendUint64(nil, 0x0102030405060708)},
		{"int64 -1", "7fffffffffffffff", AppendInt64(nil, -1)},
		{"int64 0", "8000000000000000", AppendInt64(nil, 0)},
		{"int64 min", "0000000000000000", AppendInt64(nil, math.MinInt64)},
		{"appends", "580002", AppendUint16([]byte("X"), 2)},
	} {
		if hex.EncodeToString(c.got) != c.want {
			t.Errorf("%s: got %x, want %s", c.name, c.got, c.want)
		}
	}
}

type tuple struct {
	s string
	a uint16
	b uint32
	c uint64
	i int64
	t string
}

func (x tuple) encode() []byte {
	k := AppendString(nil, x.s)
	k = AppendUint16(k, x.a)
	k = AppendUint32(k, x.b)
	k = AppendUint64(k, x.c)
	k = AppendInt64(k, x.i)
	return AppendString(k, x.t)
}

func (x tuple) compare(y tuple) int {
	return cmp.Or(strings.Compare(x.s, y.s), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b),
		cmp.Compare(x.c, y.c), cmp.Compare(x.i, y.i), strings.Compare(x.t, y.t))
}

func randomTuple(r *rand.Rand) tuple {
	return tuple{randomString(r), uint16(randomNumber(r)), uint32(randomNumber(r)), randomNumber(r), int64(randomNumber(r)), randomString(r)}
}

// randomString favours the bytes that the encoding treats specially, and
// strings that are prefixes of each other.
func randomString(r *rand.Rand) string {
	alphabet := []byte{0x00, 0x01, 0x02, 0xFE, 0xFF, 'a'}
	b := make([]byte, r.IntN(5))
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func randomNumber(r *rand.Rand) uint64 {
	switch r.IntN(3) {
	case 0:
		return uint64(r.IntN(3))
	case 1:
		return -uint64(r.IntN(3))
	default:
		return r.Uint64()
	}
}

func TestOrderOfEncodingsIsOrderOfTuples(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	for range 50_000 {
		x, y := randomTuple(r), randomTuple(r)
		if r.IntN(2) == 0 { // equal leading fields, so that the later ones decide
			y.s, y.a, y.b, y.c = x.s, x.a, x.b, x.c
		}
		if got, want := bytes.Compare(x.encode(), y.encode()), x.compare(y); got != want {
			t.Fatalf("compare %+v with %+v: got %d, want %d", x, y, got, want)
		}
	}
}

func TestCutUndoesAppend(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	t.Logf("seed %d", seed)
	for range 20_000 {
		want := randomTuple(r)
		got, err := cutTuple(append(want.encode(), "tail"...))
		if err != nil || got != want {
			t.Fatalf("cut %+v: got %+v, %v", want, got, err)
		}
	}
}

func cutTuple(b []byte) (x tuple, err error) {
	var errs [6]error
	x.s, b, errs[0] = CutString(b)
	x.a, b, errs[1] = CutUint16(b)
	x.b, b, errs[2] = CutUint32(b)
	x.c, b, errs[3] = CutUint64(b)
	x.i, b, errs[4] = CutInt64(b)
	x.t, b, errs[5] = CutString(b)
	if err := errors.Join(errs[:]...); err != nil {
		return x, err
	}
	if string(b) != "tail" {
		return x, errors.New("the rest is " + string(b))
	}
	return x, nil
}

func TestCutRefusesDamage(t *testing.T) {
	for _, b := range []string{"", "abc", "a\x00", "a\x00\x02", "\x00\x00\x01", "a\x00\xff"} {
		if _, _, err := CutString([]byte(b)); !errors.Is(err, kv.ErrCorrupt) {
			t.Errorf("CutString(%q): got %v, want ErrCorrupt", b, err)
		}
	}
	if _, _, err := CutUint16(make([]byte, 1)); !errors.Is(err, kv.ErrCorrupt) {
		t.Errorf("CutUint16: got %v, want ErrCorrupt", err)
	}
	if _, _, err := CutUint32(make([]byte, 3)); !errors.Is(err, kv.ErrCorrupt) {
		t.Errorf("CutUint32: got %v, want ErrCorrupt", err)
	}
	if _, _, err := CutUint64(make([]byte, 7)); !errors.Is(err, kv.ErrCorrupt) {
		t.Errorf("CutUint64: got %v, want ErrCorrupt", err)
	}
	if _, _, err := CutInt64(make([]byte, 7)); !errors.Is(err, kv.ErrCorrupt) {
		t.Errorf("CutInt64: got %v, want ErrCorrupt", err)
	}
}

func TestPrefixEnd(t *testing.T) {
	for _, c := range []struct{ prefix, want string }{
		{"", ""}, {"a", "b"}, {"ab", "ac"}, {"a\xff", "b"}, {"\xff\xff", ""}, {"a\x00", "a\x01"},
	} {
		prefix := []byte(c.prefix)
		got := PrefixEnd(prefix)
		if string(got) != c.want || (got == nil) != (c.want == "") {
			t.Errorf("PrefixEnd(%q): got %q, want %q", c.prefix, got, c.want)
		}
		if string(prefix) != c.prefix {
			t.Errorf("PrefixEnd changed its argument to %q", prefix)
		}
	}
}

func TestFamiliesAreSortedAndDistinct(t *testing.T) {
	families := Families()
	for i, f := range families {
		if f.Owner == "" || f.Holds == "" {
			t.Errorf("family %c is not described", f.Prefix)
		}
		if i > 0 && families[i-1].Prefix >= f.Prefix {
			t.Errorf("family %c is not above %c", f.Prefix, families[i-1].Prefix)
		}
		if got, ok := Owner([]byte{f.Prefix, 1}); !ok || got != f {
			t.Errorf("Owner(%c): got %+v, %v", f.Prefix, got, ok)
		}
	}
	for _, key := range []string{"", "\x00", "w"} {
		if f, ok := Owner([]byte(key)); ok {
			t.Errorf("Owner(%q): got %+v, want none", key, f)
		}
	}
}
