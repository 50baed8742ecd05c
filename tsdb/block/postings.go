package block

import (
	"encoding/binary"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
)

// A postings row is
//
//	form  u8   0: for each run of ordinals uvarint its first less the end of the
//	           run before, uvarint its length less 1, to the end
//	           1: a roaring bitmap in its portable serialization
const (
	postingsRuns    = 0
	postingsRoaring = 1

	postingsRunsMax = 64 // above, a bitmap is smaller or as small
)

// runs collects ascending ordinals.
type runs struct{ list []ordinalRun }

// ordinalRun is the ordinals in [first, end).
type ordinalRun struct{ first, end uint32 }

func (r *runs) add(ordinal uint32) {
	if n := len(r.list); n > 0 && r.list[n-1].end == ordinal {
		r.list[n-1].end++
		return
	}
	r.list = append(r.list, ordinalRun{ordinal, ordinal + 1})
}

// append appends the row to dst.
func (r *runs) append(dst []byte) ([]byte, error) {
	if len(r.list) <= postingsRunsMax {
		dst = append(dst, postingsRuns)
		end := uint32(0)
		for _, run := range r.list {
			dst = binary.AppendUvarint(dst, uint64(run.first-end))
			dst = binary.AppendUvarint(dst, uint64(run.end-run.first-1))
			end = run.end
		}
		return dst, nil
	}
	// Short runs are added in bulk: range by range costs a merge each.
	const longRun = 256
	bitmap := roaring.New()
	var pending []uint32
	for _, run := range r.list {
		if run.end-run.first >= longRun {
			bitmap.AddMany(pending)
			pending = pending[:0]
			bitmap.AddRange(uint64(run.first), uint64(run.end))
			continue
		}
		for ordinal := run.first; ordinal < run.end; ordinal++ {
			pending = append(pending, ordinal)
		}
	}
	bitmap.AddMany(pending)
	bitmap.RunOptimize()
	dst = append(dst, postingsRoaring)
	encoded, err := bitmap.ToBytes()
	return append(dst, encoded...), err
}

// addPostings adds the ordinals of a row, which are below limit, to set.
func addPostings(set *roaring.Bitmap, row []byte, limit uint32) error {
	if len(row) > 0 && row[0] == postingsRoaring {
		bitmap, err := postingsBitmap(row, limit)
		if err == nil {
			set.Or(bitmap)
		}
		return err
	}
	return eachRun(row, limit, func(first, end uint64) bool {
		set.AddRange(first, end)
		return true
	})
}

// postingsBitmap returns the ordinals of a row that is a bitmap.
func postingsBitmap(row []byte, limit uint32) (*roaring.Bitmap, error) {
	bitmap := roaring.New()
	if err := bitmap.UnmarshalBinary(row[1:]); err != nil {
		return nil, fmt.Errorf("%w: postings bitmap: %w", ErrCorrupt, err)
	}
	if err := bitmap.Validate(); err != nil {
		return nil, fmt.Errorf("%w: postings bitmap: %w", ErrCorrupt, err)
	}
	if !bitmap.IsEmpty() && bitmap.Maximum() >= limit {
		return nil, fmt.Errorf("%w: postings bitmap names series %d of %d", ErrCorrupt, bitmap.Maximum(), limit)
	}
	return bitmap, nil
}

// eachRun calls visit with the runs of ordinals of a row, all below limit, until
// it returns false.
func eachRun(row []byte, limit uint32, visit func(first, end uint64) bool) error {
	if len(row) == 0 {
		return fmt.Errorf("%w: empty postings", ErrCorrupt)
	}
	switch row[0] {
	case postingsRuns:
	case postingsRoaring:
		bitmap, err := postingsBitmap(row, limit)
		if err != nil {
			return err
		}
		for first, end := range bitmap.Ranges() {
			if !visit(uint64(first), end) {
				break
			}
		}
		return nil
	default:
		return fmt.Errorf("%w: postings of form %d", ErrCorrupt, row[0])
	}
	end := uint64(0)
	for b := row[1:]; len(b) > 0; {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("%w: postings of %d bytes", ErrCorrupt, len(row))
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 || gap > uint64(limit) || length > uint64(limit) || end+gap+length+1 > uint64(limit) {
			return fmt.Errorf("%w: postings of %d bytes", ErrCorrupt, len(row))
		}
		if !visit(end+gap, end+gap+length+1) {
			return nil
		}
		end += gap + length + 1
		b = b[n+m:]
	}
	return nil
}
