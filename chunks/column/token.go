package column

import "encoding/binary"

// A token stands for a value's size class: values below 16 are their own
// token; of greater ones the token tells the bit length and the two bits below
// the highest, and the bits below those follow separately ("extra bits").
const (
	tokenDirect = 16
	// tokenWide is the first token whose extra bits do not fit the 57 that an
	// unaligned word always gives.
	tokenWide = tokenDirect + 4*(61-5)
)

type tokenTable struct {
	base  [256]uint64 // the least value of the token
	extra [256]uint8  // number of extra bits
}

// tokens never changes.
var tokens = newTokenTable()

func newTokenTable() *tokenTable {
	t := new(tokenTable)
	for i := range 256 {
		if i < tokenDirect {
			t.base[i] = uint64(i)
			continue
		}
		length, top := 5+(i-tokenDirect)/4, uint64(i-tokenDirect)%4
		t.extra[i] = uint8(length - 3)
		t.base[i] = (4 + top) << (length - 3)
	}
	return t
}

// tokenSteps tell the token of a value from its length in bits, without a branch:
// values up to 15 are not shifted, of greater ones the three highest bits remain.
var tokenSteps = func() (steps [65]struct{ base, shift uint8 }) {
	for length := 5; length <= 64; length++ {
		steps[length].base = uint8(tokenDirect + 4*(length-5) - 4)
		steps[length].shift = uint8(length - 3)
	}
	return steps
}()

// tokenOf returns the token of v, which has so many bits.
func tokenOf(v uint64, length int) uint8 {
	step := &tokenSteps[length]
	return step.base + uint8(v>>(step.shift&63))
}

// detokenize turns tokens into values, reading the extra bits.
func (c *cursor) detokenize(u []uint64, tok []byte) {
	u = u[:len(tok)]
	if allDirect(tok) {
		for i, t := range tok {
			u[i] = uint64(t)
		}
		return
	}
	src := c.src[c.off:]
	bit := 0
	for i, t := range tok {
		at := bit >> 3
		if at+8 > len(src) {
			bit = detokenizeEnd(u[i:], tok[i:], src, bit)
			break
		}
		extra := tokens.extra[t]
		if t >= tokenWide {
			u[i] = tokens.base[t] | bitsAt(src, bit, int(extra))
		} else {
			u[i] = tokens.base[t] | binary.LittleEndian.Uint64(src[at:])>>(bit&7)&(1<<(extra&63)-1)
		}
		bit += int(extra)
	}
	c.take((bit + 7) / 8)
}

// detokenizeEnd does the same where less than 8 bytes of src are left, and
// returns the bit behind the last extra bit, which is behind the end of src if
// the extra bits end early.
func detokenizeEnd(u []uint64, tok, src []byte, bit int) int {
	var end [16]byte
	from := min(bit>>3, len(src))
	copy(end[:], src[from:])
	for i, t := range tok {
		extra := int(tokens.extra[t])
		at := bit>>3 - from
		if at > 8 || extra > 56 {
			return 8*len(src) + 8
		}
		u[i] = tokens.base[t] | binary.LittleEndian.Uint64(end[at:])>>(bit&7)&(1<<(extra&63)-1)
		bit += extra
	}
	return bit
}

// allDirect reports whether no token has extra bits.
func allDirect(tok []byte) bool {
	var any uint64
	for len(tok) >= 8 {
		any |= binary.LittleEndian.Uint64(tok)
		tok = tok[8:]
	}
	for _, t := range tok {
		any |= uint64(t)
	}
	return any&0xf0f0f0f0f0f0f0f0 == 0
}

// appendExtra appends the extra bits of u, whose tokens are tok.
func appendExtra(dst []byte, u []uint64, tok []byte) []byte {
	w := bitWriter{dst: dst}
	for i, v := range u {
		n := tokens.extra[tok[i]]
		w.add(v&(1<<n-1), int(n))
	}
	return w.finish()
}
