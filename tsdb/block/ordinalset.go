package block

import (
	"math"

	"github.com/RoaringBitmap/roaring/v2"
)

// ordinalSet is a set of ordinals below a limit, a bit each. Unions of many short
// runs are much faster in it than in a roaring bitmap.
type ordinalSet []uint64

func newOrdinalSet(limit uint32) ordinalSet { return make(ordinalSet, (uint64(limit)+63)/64) }

// addRange adds the ordinals in [first, end), which is not empty.
func (s ordinalSet) addRange(first, end uint64) {
	from, to := first/64, (end-1)/64
	low, high := uint64(math.MaxUint64)<<(first%64), uint64(math.MaxUint64)>>(63-(end-1)%64)
	if from == to {
		s[from] |= low & high
		return
	}
	s[from] |= low
	for i := from + 1; i < to; i++ {
		s[i] = math.MaxUint64
	}
	s[to] |= high
}

// intersects reports whether one of the ordinals in [first, end), which is not
// empty, is in the set.
func (s ordinalSet) intersects(first, end uint64) bool {
	from, to := first/64, (end-1)/64
	low, high := uint64(math.MaxUint64)<<(first%64), uint64(math.MaxUint64)>>(63-(end-1)%64)
	if from == to {
		return s[from]&low&high != 0
	}
	if s[from]&low != 0 || s[to]&high != 0 {
		return true
	}
	for i := from + 1; i < to; i++ {
		if s[i] != 0 {
			return true
		}
	}
	return false
}

// add adds the ordinals of a row of postings.
func (s ordinalSet) add(row []byte, limit uint32) error {
	return eachRun(row, limit, func(first, end uint64) bool {
		s.addRange(first, end)
		return true
	})
}

// meets reports whether the ordinals of a row of postings have one in common with
// the set.
func (s ordinalSet) meets(row []byte, limit uint32) (met bool, err error) {
	err = eachRun(row, limit, func(first, end uint64) bool {
		met = s.intersects(first, end)
		return !met
	})
	return met, err
}

// bitmap returns the set as a bitmap, which takes the memory over.
func (s ordinalSet) bitmap() *roaring.Bitmap { return roaring.FromDense(s, false) }

// ordinalSetOf returns the ordinals of a bitmap, all below limit.
func ordinalSetOf(bitmap *roaring.Bitmap, limit uint32) ordinalSet {
	s := newOrdinalSet(limit)
	for first, end := range bitmap.Ranges() {
		s.addRange(uint64(first), end)
	}
	return s
}
