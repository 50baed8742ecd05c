package block

import (
	"encoding/binary"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
)

// A postings row is
//
//	form  u8   0: uvarint first ordinal, then uvarint differences, to the end
//	           1: a roaring bitmap in its portable serialization
const (
	postingsDeltas  = 0
	postingsRoaring = 1

	postingsDeltasMax = 24 // ordinals; above, a bitmap is smaller or as small
)

// appendPostings appends the row for ascending ordinals to dst.
func appendPostings(dst []byte, ordinals []uint32) ([]byte, error) {
	if len(ordinals) <= postingsDeltasMax {
		dst = append(dst, postingsDeltas)
		previous := uint32(0)
		for _, o := range ordinals {
			dst = binary.AppendUvarint(dst, uint64(o-previous))
			previous = o
		}
		return dst, nil
	}
	bitmap := roaring.BitmapOf(ordinals...)
	bitmap.RunOptimize()
	dst = append(dst, postingsRoaring)
	encoded, err := bitmap.ToBytes()
	return append(dst, encoded...), err
}

// addPostings adds the ordinals of a row to set.
func addPostings(set *roaring.Bitmap, row []byte) error {
	if len(row) == 0 {
		return fmt.Errorf("%w: empty postings", ErrCorrupt)
	}
	switch b := row[1:]; row[0] {
	case postingsDeltas:
		ordinal := uint64(0)
		for len(b) > 0 {
			u, n := binary.Uvarint(b)
			if n <= 0 || u > 1<<32-1-ordinal {
				return fmt.Errorf("%w: postings of %d bytes", ErrCorrupt, len(row))
			}
			ordinal += u
			set.Add(uint32(ordinal))
			b = b[n:]
		}
		return nil
	case postingsRoaring:
		var bitmap roaring.Bitmap
		if err := bitmap.UnmarshalBinary(b); err != nil {
			return fmt.Errorf("%w: postings bitmap: %w", ErrCorrupt, err)
		}
		if err := bitmap.Validate(); err != nil {
			return fmt.Errorf("%w: postings bitmap: %w", ErrCorrupt, err)
		}
		set.Or(&bitmap)
		return nil
	default:
		return fmt.Errorf("%w: postings of form %d", ErrCorrupt, row[0])
	}
}
