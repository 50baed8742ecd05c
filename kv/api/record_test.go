package api

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/varve-db/varve/kv"
)

func TestGoldenRow(t *testing.T) {
	tgt, err := parseTarget([]byte("/kv/v1/ks/a%00/b"))
	if err != nil {
		t.Fatalf("parse target: %v", err)
	}
	if got, want := hex.EncodeToString(tgt.row(tgt.key)), "4b6b7300016100"+"2f62"; got != want {
		t.Errorf("row key: got %s, want %s", got, want)
	}
	r := record{expires: 1_700_000_000_123, version: 0x0102030405060708, payload: []byte("hi")}
	if got, want := hex.EncodeToString(appendRecord(nil, r)), "01"+"0000018bcfe5687b"+"0102030405060708"+"6869"; got != want {
		t.Errorf("record: got %s, want %s", got, want)
	}
	if got, want := r.etag(), `"102030405060708-2a2300bbd7ea6e9a"`; got != want {
		t.Errorf("etag: got %s", got)
	}
}

func TestVersionsGrow(t *testing.T) {
	now := time.UnixMicro(1000)
	first := (*record)(nil).next(nil, 0, now)
	second := first.next(nil, 0, now)
	third := second.next(nil, 0, now.Add(-time.Second)) // a clock set back
	fourth := third.next(nil, 0, now.Add(time.Second))
	if first.version != 1000 || second.version != 1001 || third.version != 1002 || fourth.version != 1_001_000 {
		t.Errorf("versions: %d, %d, %d, %d", first.version, second.version, third.version, fourth.version)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(appendRecord(nil, record{version: 1, payload: []byte("v")}))
	f.Add(appendRecord(nil, record{expires: 1 << 40, version: 1 << 63}))
	f.Add([]byte{})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			if !errors.Is(err, kv.ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
			return
		}
		if back := appendRecord(nil, r); !bytes.Equal(back, b) {
			t.Fatalf("%x became %x", b, back)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	for _, p := range []string{"/kv/v1/ks/a", "/kv/v1/ks", "/kv/v1/ks/%00%2f", "/kv/v1/k s/a", "/kv/v1/ks/%"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tgt, err := parseTarget([]byte(path))
		if err != nil || !tgt.hasKey {
			return
		}
		back, err := unescape([]byte(escape(tgt.key)))
		if err != nil || !bytes.Equal(back, tgt.key) {
			t.Fatalf("key %q became %q, %v", tgt.key, back, err)
		}
	})
}

func FuzzParseTags(f *testing.F) {
	for _, s := range []string{"*", `"a"`, `W/"a", "b"`, `"a`, ","} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseTags("If-Match", text)
		if err != nil {
			return
		}
		for _, tag := range list.tags {
			if again, err := parseTags("If-Match", tag); err != nil || len(again.tags) != 1 || again.tags[0] != tag {
				t.Fatalf("tag %q of %q: %v, %v", tag, text, again, err)
			}
		}
		if list.set != (list.any || len(list.tags) > 0) {
			t.Fatalf("list of %q: %+v", text, list)
		}
	})
}

// FuzzDecodeBatch checks that what is accepted obeys the limits.
func FuzzDecodeBatch(f *testing.F) {
	h := New(nil, Options{ValueBytesMax: 16, BatchOperationsMax: 2})
	f.Add([]byte(`{"operations":[{"op":"put","key":"a","value":"1","ttl":"30s","if_match":"*"},{"op":"delete","key64":"AA=="}]}`))
	f.Add([]byte(`{"operations":[{"op":"check","key":"a","if_none_match":"\"1-1\""}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		steps, err := h.decodeBatch(body, target{prefix: []byte("Kks\x00\x01")})
		if err != nil {
			return
		}
		for _, s := range steps {
			if len(steps) > 2 || len(s.value) > 16 || len(s.row) <= 5 || s.lifetime < 0 || s.lifetime > ttlMax {
				t.Fatalf("accepted %+v of %d", s, len(steps))
			}
		}
	})
}
