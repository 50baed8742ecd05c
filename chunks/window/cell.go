package window

import (
	"encoding/binary"
	"sort"

	"github.com/varve-db/varve/chunks/column"
	"github.com/varve-db/varve/internal/fields"
)

// A cell holds the values of neighbouring series:
//
//	u8       version, 1
//	uvarint  number of entries
//	uvarint  number of the first entry's series
//	entries  each uvarint series less that of the entry before (0 for the first),
//	         varint number of the shape less that of the entry before (or 0),
//	         uvarint size of the values
//	values   of each entry
//	u32      checksum: the low 32 bits of the XXH3-64 of all bytes before
//
// A series has an entry for each RowsMax rows, in order of time.
const (
	cellVersion = 1
	// entriesMax is the most entries of a cell.
	entriesMax = 1 << 16
)

// CellWriter builds cells.
type CellWriter struct {
	encoder       *Encoder
	entries       int
	first, series uint32
	shape         uint32
	head, bodies  []byte
}

// NewCellWriter returns a writer that encodes with e.
func NewCellWriter(e *Encoder) *CellWriter { return &CellWriter{encoder: e} }

// Len returns the number of entries, Size about how many bytes they take.
func (c *CellWriter) Len() int { return c.entries }

// Size returns about how many bytes the cell takes.
func (c *CellWriter) Size() int { return len(c.head) + len(c.bodies) + 8 }

// Add adds rows [from, to) of w, at most RowsMax, which have the shape of a number.
// Series come in ascending order.
func (c *CellWriter) Add(series, shape uint32, w *Windows, from, to int) (err error) {
	if c.entries == 0 {
		c.first, c.series = series, series
	}
	if series < c.series || c.entries == entriesMax {
		return corrupt("entry of series %d behind %d entries up to %d", series, c.entries, c.series)
	}
	before := len(c.bodies)
	if c.bodies, err = c.encoder.AppendValues(c.bodies, w, from, to); err != nil {
		return err
	}
	c.head = binary.AppendUvarint(c.head, uint64(series-c.series))
	c.head = binary.AppendVarint(c.head, int64(shape)-int64(c.shape))
	c.head = binary.AppendUvarint(c.head, uint64(len(c.bodies)-before))
	c.series, c.shape = series, shape
	c.entries++
	return nil
}

// AppendTo appends the cell to dst and empties the writer.
func (c *CellWriter) AppendTo(dst []byte) []byte {
	at := len(dst)
	dst = binary.AppendUvarint(append(dst, cellVersion), uint64(c.entries))
	dst = binary.AppendUvarint(dst, uint64(c.first))
	dst = append(append(dst, c.head...), c.bodies...)
	c.entries, c.shape, c.head, c.bodies = 0, 0, c.head[:0], c.bodies[:0]
	return column.AppendChecksum(dst, at)
}

// Entry is some rows of a series in a cell.
type Entry struct {
	Series, Shape uint32
	Values        []byte // as Decoder.Values reads them
}

// Cell is a cell being read.
type Cell struct{ Entries []Entry }

// Open sets c to the cell in src, whose memory it shares.
func (c *Cell) Open(src []byte) error {
	c.Entries = c.Entries[:0]
	src, err := column.CutChecksum(src)
	if err != nil {
		return damaged("cell", err)
	}
	if len(src) == 0 || src[0] != cellVersion {
		return corrupt("unknown version of a cell")
	}
	f := fields.New(src[1:])
	n := f.Count(3 + 2)
	if n > entriesMax {
		return corrupt("cell of %d entries", n)
	}
	series, shape := f.Uvarint(), int64(0)
	sizes := make([]uint64, n)
	for i := range n {
		series += f.Uvarint()
		shape += f.Varint()
		sizes[i] = f.Uvarint()
		if f.Bad() || series >= 1<<32 || shape < 0 || shape >= 1<<32 {
			return corrupt("entry %d of a cell", i)
		}
		c.Entries = append(c.Entries, Entry{Series: uint32(series), Shape: uint32(shape)})
	}
	for i, size := range sizes {
		c.Entries[i].Values = f.Take(size)
	}
	if f.Bad() || f.Len() > 0 {
		return corrupt("lengths of a cell")
	}
	return nil
}

// Find returns the entries of a series.
func (c *Cell) Find(series uint32) []Entry {
	first := sort.Search(len(c.Entries), func(i int) bool { return c.Entries[i].Series >= series })
	end := first
	for end < len(c.Entries) && c.Entries[end].Series == series {
		end++
	}
	return c.Entries[first:end]
}
