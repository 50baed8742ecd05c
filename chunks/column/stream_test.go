package column

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"
)

// TestPackedEveryWidth packs every width at every interesting length and
// compares with what a plain loop over bits reads.
func TestPackedEveryWidth(t *testing.T) {
	r := newRand(7, 8)
	for width := range 65 {
		for _, n := range []int{1, 2, 7, 63, 64, 65, 127, 128, 200, 255, 256, 257, 512, 1023, 1024} {
			u := make([]uint64, n)
			for i := range u {
				if width > 0 {
					u[i] = r.Uint64() >> (64 - width)
				}
			}
			src := appendPacked(nil, u)
			if len(src) != packedSize(u) {
				t.Fatalf("width %d, %d values: %d bytes, size said %d", width, n, len(src), packedSize(u))
			}
			got := make([]uint64, n)
			c := cursor{src: src}
			c.packed(got)
			c.end()
			if c.err != nil || !slices.Equal(got, u) {
				t.Fatalf("width %d, %d values: %v", width, n, c.err)
			}
		}
	}
}

// TestPackedLayout reads a full block and a short one bit by bit as the format
// describes them.
func TestPackedLayout(t *testing.T) {
	const width = 11
	u := make([]uint64, blockSize+100)
	for i := range u {
		u[i] = uint64(i*7919) % (1 << width)
		u[i] |= 1 << (width - 1) // so that nothing is gained by patches
	}
	src := appendPacked(nil, u)
	if src[0] != width {
		t.Fatalf("width %#x, want %d", src[0], width)
	}
	bit := func(at int) uint64 { return uint64(src[at>>3] >> (at & 7) & 1) }
	for i := range blockSize {
		lane, in := i/laneSize, i%laneSize
		var v uint64
		for b := range width {
			k := in*width + b // bit of the lane
			word := 4*(k/64) + lane
			v |= bit(8+64*word+k%64) << b
		}
		if v != u[i] {
			t.Fatalf("value %d of the full block is %d, want %d", i, v, u[i])
		}
	}
	short := 8 * (1 + 32*width + 1)
	if src[short/8-1] != width {
		t.Fatalf("width of the short block %#x", src[short/8-1])
	}
	for i := range 100 {
		var v uint64
		for b := range width {
			v |= bit(short+i*width+b) << b
		}
		if v != u[blockSize+i] {
			t.Fatalf("value %d of the short block is %d, want %d", i, v, u[blockSize+i])
		}
	}
}

func TestTokens(t *testing.T) {
	values := []uint64{0, 1, 15, 16, 17, 19, 20, 31, 32, 1<<32 - 1, 1 << 32, 1 << 60, 1 << 61, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	for shift := range 64 {
		values = append(values, 1<<shift, 1<<shift+1, 3<<shift, 1<<shift-1)
	}
	tok := make([]byte, len(values))
	for i, v := range values {
		tok[i] = tokenOf(v, bits.Len64(v))
		if base := tokens.base[tok[i]]; v < base || v-base >= 1<<tokens.extra[tok[i]] {
			t.Fatalf("%d has token %d of %d and %d bits", v, tok[i], base, tokens.extra[tok[i]])
		}
	}
	for n := range len(values) + 1 {
		src := appendExtra(nil, values[len(values)-n:], tok[len(values)-n:])
		c := cursor{src: src}
		got := make([]uint64, n)
		c.detokenize(got, tok[len(values)-n:])
		c.end()
		if c.err != nil || !slices.Equal(got, values[len(values)-n:]) {
			t.Fatalf("the last %d values: %v", n, c.err)
		}
		if n > 0 {
			c = cursor{src: src[:max(0, len(src)-1)]}
			if c.detokenize(got, tok[len(values)-n:]); c.err == nil && len(src) > 0 {
				t.Fatalf("the last %d values without their last byte: no error", n)
			}
		}
	}
}

// streamCases are streams for which the encoder chooses each form there is.
func streamCases() map[byte][]uint64 {
	r := newRand(9, 10)
	fill := func(f func(i int) uint64) []uint64 {
		u := make([]uint64, 1000)
		for i := range u {
			u[i] = f(i)
		}
		return u
	}
	return map[byte][]uint64{
		streamZero:   fill(func(int) uint64 { return 0 }),
		streamPacked: fill(func(int) uint64 { return r.Uint64() >> 54 }),
		streamRaw:    fill(func(int) uint64 { return r.Uint64() >> r.IntN(64) }),
		streamHuff4:  fill(func(int) uint64 { return 1 << min(r.IntN(8), r.IntN(8), r.IntN(8)) }),
		streamHuff1:  fill(func(int) uint64 { return 1 << min(r.IntN(8), r.IntN(8), r.IntN(8)) })[:600],
		streamZstd:   fill(func(i int) uint64 { return uint64(i*i*31%97) * 16807 % 14 }),
		streamRLE:    fill(func(int) uint64 { return 1<<40 | r.Uint64()>>28 }),
		streamSparse: fill(func(i int) uint64 { return uint64(max(0, i%50-48)) * 1000 }),
	}
}

func TestStreamForms(t *testing.T) {
	for form, u := range streamCases() {
		t.Run(fmt.Sprint(form), func(t *testing.T) {
			e := NewEncoder(Small)
			if form == streamRaw {
				e = NewEncoder(Fast)
			}
			copy(e.u[:], u)
			src, got := e.appendStream(nil, e.u[:len(u)])
			if got != form {
				t.Fatalf("form %d was chosen", got)
			}
			var s streams
			c := cursor{src: src}
			if form == streamSparse {
				s.scatter(s.sparse(&c, len(u)), len(u))
			} else {
				s.decode(&c, form, len(u))
			}
			c.end()
			if c.err != nil || !slices.Equal(s.u[:len(u)], u) {
				t.Fatalf("other values came back: %v", c.err)
			}
		})
	}
}

// TestTokenOf compares tokens with their definition: the values that have one lie
// between its base and that of the next.
func TestTokenOf(t *testing.T) {
	for token := range 256 {
		least := tokens.base[token]
		most := least + (1<<tokens.extra[token] - 1)
		for _, v := range []uint64{least, most, least + (most-least)/3} {
			if got := tokenOf(v, bits.Len64(v)); int(got) != token {
				t.Errorf("%d has token %d, want %d", v, got, token)
			}
		}
	}
}
