package bench

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
)

// checkPatches compresses src, writes over all patches, and compares what an
// independent decoder reads with the plain body written over the same way.
func checkPatches(t *testing.T, src []byte, patches []patch, fill func(i int, dst []byte)) []byte {
	t.Helper()
	var c compressor
	block, places := c.compress(nil, src, patches)
	if len(places) != len(patches) {
		t.Fatalf("%d places for %d patches", len(places), len(patches))
	}
	want := bytes.Clone(src)
	for i, p := range patches {
		fill(i, want[p.at:p.at+p.size])
		if places[i] >= 0 {
			fill(i, block[places[i]:places[i]+p.size])
		} else if p.same < 0 {
			t.Fatalf("patch %d has no place", i)
		}
	}
	got, err := snappy.Decode(nil, block)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("decoded %d bytes differ from the plain ones", len(got))
	}
	return block
}

func TestCompressGoldenBlock(t *testing.T) {
	src := []byte("label=one;VVVVtttt;label=one;WWWWtttt;label=one")
	patches := []patch{{10, 4, -1}, {14, 4, -1}, {29, 4, -1}, {33, 4, 14}}
	var c compressor
	block, places := c.compress(nil, src, patches)
	const want = "2f" + // 47 bytes
		"48" + "6c6162656c3d6f6e653b" + "56565656" + "74747474" + "3b" + // literal of 19
		"261300" + // copy of 10, from 19 back
		"0c" + "57575757" + // literal of 4: the value
		"0e1300" + // copy of 4: the equal timestamp
		"261300" // copy of 10
	if got := hex.EncodeToString(block); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i, place := range []int{12, 16, 25, -1} {
		if places[i] != place {
			t.Errorf("patch %d is at %d, want %d", i, places[i], place)
		}
	}
}

func TestCompressRandomBodies(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 200 {
		var src []byte
		var patches []patch
		for range 1 + r.IntN(400) {
			src = append(src, strings.Repeat("abcdefgh", r.IntN(4))...)
			src = append(src, strings.Repeat("z", r.IntN(90))...)
			if r.IntN(2) == 0 {
				src = append(src, byte(r.Uint32()))
			}
			patches = append(patches, patch{len(src), 8, -1})
			src = append(src, "patched!"...)
		}
		checkPatches(t, src, patches, func(i int, dst []byte) { copy(dst, []byte{byte(i), 1, byte(i >> 8), 3, 4, 5, 6, 7}) })
	}
}

func TestCompressLongLiteral(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{1, 3, 4, 5, 60, 61, 256, 257, 65536, 65537} {
		src := make([]byte, n)
		for i := range src {
			src[i] = byte(r.Uint32())
		}
		checkPatches(t, src, []patch{{n / 2, 1, -1}}, func(_ int, dst []byte) { dst[0] ^= 0xff })
	}
}

func TestLiteralTags(t *testing.T) {
	for length, want := range map[int]string{
		1: "00", 60: "ec", 61: "f03c", 256: "f0ff", 257: "f40001", 65536: "f4ffff",
		65537: "f8000001", 1 << 24: "f8ffffff", 1<<24 + 1: "fc00000001",
	} {
		if got := hex.EncodeToString(appendLiteralTag(nil, length)); got != want {
			t.Errorf("%d bytes: got %s, want %s", length, got, want)
		}
	}
}

// A copy reaches back 64 KiB; an equal patch further away is written itself.
func TestCompressDistantEqualPatch(t *testing.T) {
	src := append(append([]byte("TTTT"), bytes.Repeat([]byte("x"), copyDistanceMax)...), "TTTT"...)
	patches := []patch{{0, 4, -1}, {4 + copyDistanceMax, 4, 0}}
	checkPatches(t, src, patches, func(_ int, dst []byte) { copy(dst, "when") })
	var c compressor
	if _, places := c.compress(nil, src, patches); places[1] < 0 {
		t.Error("the distant patch was copied")
	}
}

func FuzzCompress(f *testing.F) {
	f.Add([]byte("aaaaaaaabbbbaaaaaaaabbbb"), uint16(3), uint16(5))
	f.Add([]byte{}, uint16(0), uint16(1))
	f.Fuzz(func(t *testing.T, src []byte, gap, width uint16) {
		if len(src) > 1<<20 {
			return
		}
		size, step := int(width%16)+1, int(gap%64)+1
		var patches []patch
		for at := step; at+size <= len(src); at += size + step {
			patches = append(patches, patch{at, size, -1})
		}
		checkPatches(t, src, patches, func(i int, dst []byte) {
			for j := range dst {
				dst[j] = byte(i + j*31)
			}
		})
	})
}
