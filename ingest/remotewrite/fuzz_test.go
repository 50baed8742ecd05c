package remotewrite

import (
	"errors"
	"fmt"
	"testing"

	"github.com/varve-db/varve/series"
)

// agree decodes body and compares with what the reference made of it.
func agree(t *testing.T, body []byte, version string) {
	t.Helper()
	growth := growthV1
	decode := func(d *Decoder, b *series.Batch) error { return d.V1(b, body, series.LabelRules{}) }
	ref := (*reference).v1
	if version == "v2" {
		growth = growthV2
		decode = func(d *Decoder, b *series.Batch) error { return d.V2(b, body, series.LabelRules{}) }
		ref = (*reference).v2
	}
	var d Decoder
	var b series.Batch
	err := decode(&d, &b)
	if held, bound := b.MemoryBytes()+d.MemoryBytes(), 3*(growthFixed+growth*len(body)); held > bound {
		t.Fatalf("a body of %d bytes takes %d bytes", len(body), held)
	}
	if errors.Is(err, ErrTooLarge) {
		return
	}
	r := newReference(body)
	want := ref(r, body)
	if want == nil && errors.Is(err, ErrMalformed) && overruns(body, 0, version) {
		return
	}
	if (err == nil) != (want == nil) {
		t.Fatalf("%x: decoder says %v, reference says %v", body, err, want)
	}
	if err != nil {
		if !errors.Is(err, ErrMalformed) {
			t.Fatalf("unexpected error %v", err)
		}
		return
	}
	if got, want := rowsText(b), rowsText(r.b); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := account(b.Refused), account(r.b.Refused); got != want {
		t.Fatalf("refused %s, want %s", got, want)
	}
	// A decoder that was used before gives the same.
	before := dump(&b)
	b.Reset()
	if err := decode(&d, &b); err != nil || dump(&b) != before {
		t.Fatalf("decoded again: %v\n%s\nbefore\n%s", err, dump(&b), before)
	}
}

func FuzzDecodeV1(f *testing.F) {
	body, err := requestV1().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	seed(f, body)
	f.Fuzz(func(t *testing.T, body []byte) {
		agree(t, body, "v1")
	})
}

func FuzzDecodeV2(f *testing.F) {
	body, err := requestV2().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	seed(f, body)
	f.Fuzz(func(t *testing.T, body []byte) {
		agree(t, body, "v2")
	})
}

// overruns reports whether a packed field of body, a message of the kind named
// by path, is cut within a number. Prometheus's generated code then reads on
// behind the field; the decoders take it for what it is, malformed.
func overruns(body []byte, i int, kind string) bool {
	inner := map[string]string{
		"v1/1": "v1series", "v1series/4": "histogram",
		"v2/5": "v2series", "v2series/3": "histogram", "v2series/4": "v2exemplar",
		"v2series/1": "varints", "v2exemplar/1": "varints",
		"histogram/9": "varints", "histogram/12": "varints",
		"histogram/10": "doubles", "histogram/13": "doubles", "histogram/16": "doubles",
	}
	for i < len(body) {
		t, at := readTag(body, i)
		if at < 0 {
			return false
		}
		if i = skip(body, at, t); i < 0 {
			return false
		}
		if t.wire() != wireBytes {
			continue
		}
		from, to := span(body, at)
		switch k := inner[fmt.Sprintf("%s/%d", kind, t.field())]; k {
		case "":
		case "varints":
			if to > from && body[to-1] >= 0x80 {
				return true
			}
		case "doubles":
			if (to-from)%8 != 0 {
				return true
			}
		default:
			if overruns(body[:to], from, k) {
				return true
			}
		}
	}
	return false
}

func seed(f *testing.F, body []byte) {
	f.Add([]byte{})
	f.Add(body)
	for i := 0; i < len(body); i += 7 {
		flipped := append([]byte(nil), body...)
		flipped[i] ^= 1 << (i % 8)
		f.Add(flipped)
		f.Add(body[:i])
	}
	f.Add([]byte{0x0a, 0x02, 0x12, 0x00})                                                             // an empty sample without labels
	f.Add([]byte{0x22, 0x00, 0x2a, 0x04, 0x0a, 0x02, 0x05, 0x06})                                     // references to no symbol
	f.Add([]byte{0x22, 0x00, 0x2a, 0x03, 0x0a, 0x01, 0x00})                                           // an odd number of them
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})                                                 // a length of 4 GiB
	f.Add([]byte{0x0b, 0x13, 0x14, 0x0c, 0x0a, 0x00})                                                 // groups
	f.Add([]byte{0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}) // an endless varint
}

func TestEveryTruncationAndFlip(t *testing.T) {
	v1, _ := requestV1().Marshal()
	v2, _ := requestV2().Marshal()
	for name, body := range map[string][]byte{"v1": v1, "v2": v2} {
		t.Run(name, func(t *testing.T) {
			for i := range body {
				agree(t, body[:i:i], name)
				for _, bit := range []int{i % 8, (i + 3) % 8} {
					flipped := append([]byte(nil), body...)
					flipped[i] ^= 1 << bit
					agree(t, flipped, name)
				}
				if t.Failed() {
					t.Fatal(fmt.Sprint("at byte ", i))
				}
			}
		})
	}
}
