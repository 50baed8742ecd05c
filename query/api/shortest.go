package api

import "math/bits"

// shortest returns the decimal, digits times ten to the power of exponent, that is
// the nearest of the shortest ones that round to the float x. x is the bits of a
// float in [1e-6, 1e21) that is no power of two, so that its neighbours are at the
// same distance. Digits may end in zeros.
//
// This is Raffaello Giulietti's Schubfach: of all multiples of a power of ten with
// less than ten in the interval that rounds to x, and of those of the next power,
// only the two around x can be meant. Products with an inexact power of ten keep
// one bit of what is cut off, which is enough to compare them.
func shortest(x uint64) (digits uint64, exponent int) {
	c := x&(1<<52-1) | 1<<52
	q := int(x>>52) - 1075 // x is c times 2^q

	k := q * 1262611 >> 22            // floor(log10(2^q))
	h := uint(q + -k*1741647>>19 + 1) // 1 to 4
	power := &powers[-k-powerMin]

	// In quarters of 10^k: the value, and the middles between it and its
	// neighbours, which round to it only if its last bit is 0.
	odd := c & 1
	low := timesPower(power, (4*c-2)<<h) + odd
	value := timesPower(power, 4*c<<h)
	high := timesPower(power, (4*c+2)<<h) - odd

	s := value / 4
	if tens := s / 10; tens > 0 {
		below, above := low <= 40*tens, 40*tens+40 <= high
		if below != above {
			if above {
				tens++
			}
			return tens, k + 1
		}
	}
	below, above := low <= 4*s, 4*s+4 <= high
	if below != above {
		if above {
			s++
		}
		return s, k
	}
	if middle := 4*s + 2; value > middle || value == middle && s&1 == 1 {
		s++
	}
	return s, k
}

// timesPower returns the upper 64 bits of a product of 192, the last of them set
// if the bits below are more than the error of the power.
func timesPower(power *[2]uint64, n uint64) uint64 {
	carry, _ := bits.Mul64(power[1], n)
	high, low := bits.Mul64(power[0], n)
	low, over := bits.Add64(low, carry, 0)
	high += over
	if low > 1 {
		high |= 1
	}
	return high
}

// powerMin is the exponent of the first of powers.
const powerMin = -5

// powers are powers of ten, shifted to 128 bits and rounded up: upper half first.
var powers = [...][2]uint64{
	{0xa7c5ac471b478423, 0x0fcf80dc33721d54},
	{0xd1b71758e219652b, 0xd3c36113404ea4a9},
	{0x83126e978d4fdf3b, 0x645a1cac083126ea},
	{0xa3d70a3d70a3d70a, 0x3d70a3d70a3d70a4},
	{0xcccccccccccccccc, 0xcccccccccccccccd},
	{0x8000000000000000, 0x0000000000000000},
	{0xa000000000000000, 0x0000000000000000},
	{0xc800000000000000, 0x0000000000000000},
	{0xfa00000000000000, 0x0000000000000000},
	{0x9c40000000000000, 0x0000000000000000},
	{0xc350000000000000, 0x0000000000000000},
	{0xf424000000000000, 0x0000000000000000},
	{0x9896800000000000, 0x0000000000000000},
	{0xbebc200000000000, 0x0000000000000000},
	{0xee6b280000000000, 0x0000000000000000},
	{0x9502f90000000000, 0x0000000000000000},
	{0xba43b74000000000, 0x0000000000000000},
	{0xe8d4a51000000000, 0x0000000000000000},
	{0x9184e72a00000000, 0x0000000000000000},
	{0xb5e620f480000000, 0x0000000000000000},
	{0xe35fa931a0000000, 0x0000000000000000},
	{0x8e1bc9bf04000000, 0x0000000000000000},
	{0xb1a2bc2ec5000000, 0x0000000000000000},
	{0xde0b6b3a76400000, 0x0000000000000000},
	{0x8ac7230489e80000, 0x0000000000000000},
	{0xad78ebc5ac620000, 0x0000000000000000},
	{0xd8d726b7177a8000, 0x0000000000000000},
	{0x878678326eac9000, 0x0000000000000000},
}
