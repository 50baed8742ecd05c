package column

import "errors"

// A cell holds columns of values, grouped by series in ascending order:
//
//	u8        version, 1
//	uvarint   number of entries
//	uvarint   number of slices of timestamp columns
//	slices    uvarint column, uvarint offset, uvarint length (1 to SamplesMax)
//	uvarint   number of the first entry's series
//	entries   u8 tag; [uvarint step]; [uvarint slice]; uvarint size of the body
//	bodies    [uvarint size of the starts, starts]; column of values
//	u32       checksum: the low 32 bits of the XXH3-64 of all bytes before
//
// The tag's bits 0 and 1 tell an entry's series: that of the entry before
// (tagSame), the next number (tagNext), or step + 2 behind (tagOther). Bits 2
// and 3 tell its slice in the same way, tagOther giving its number; the entry
// before the first has series "first" and slice 0. Bit 4: there are starts.
const (
	cellVersion = 1

	tagSame     = 0
	tagNext     = 1
	tagOther    = 2
	tagMask     = 3
	tagSlice    = 2 // shift
	tagStarts   = 0x10
	tagReserved = 0xe0
)

// EntriesMax is the most entries a cell can have.
const EntriesMax = 1 << 16

// chainMax is the most bucket differences that lie on one another, which bounds
// the columns that have to be decoded for one.
const chainMax = 32

// What CellWriter.Add refuses.
var (
	// ErrFull means that the cell has EntriesMax entries.
	ErrFull = errors.New("cell is full")
	// ErrOrder means that an entry's series is below that of the one before.
	ErrOrder = errors.New("series out of order in a cell")
	// ErrLength means that the columns of an entry differ in length, or have
	// not 1 to SamplesMax samples.
	ErrLength = errors.New("wrong number of samples in a cell's entry")
)

// Entry is one column of a cell: at most SamplesMax samples of one series. A cell
// whose entries all have the same slice, or one of a few, decodes fastest.
type Entry struct {
	Series uint32 // the number by which the caller knows the series
	Times  Slice  // which timestamps the samples have
	Values []float64

	// Timestamps and Starts are the samples' timestamps and start timestamps.
	// Starts is empty if none is known; Timestamps are needed only with it.
	Timestamps, Starts []int64

	// Bucket says that the series is a bucket of a classic histogram, so that
	// the bucket below it is likely to have been added just before.
	Bucket bool
}

// Limits bound what CellReader.Open accepts.
type Limits struct {
	// Entries is the most entries; 0 stands for EntriesMax.
	Entries int
}
