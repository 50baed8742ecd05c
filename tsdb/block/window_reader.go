package block

import (
	"encoding/binary"
	"fmt"

	"github.com/varve-db/varve/chunks/window"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
)

// shapeRowsHeld bounds the rows of the shapes that a WindowCursor keeps, 40 bytes
// each.
const shapeRowsHeld = 1 << 17

// WindowCursor reads the windows of a generation series by series, fastest in
// ascending order. One goroutine uses it at a time, and it must be closed.
type WindowCursor struct {
	reader  *Reader
	it      kv.Iterator
	prefix  []byte
	row     []byte
	cell    window.Cell
	last    uint32 // series of the cell that is open
	opened  bool
	decoder window.Decoder
	shapes  map[uint32]*window.Shape
	held    int
}

// NewWindowCursor returns a cursor over a generation of windows.
func (r *Reader) NewWindowCursor() (*WindowCursor, error) {
	it, err := r.store.Scan(r.key(familyWindows), r.key(familyWindows+1))
	if err != nil {
		return nil, err
	}
	return &WindowCursor{reader: r, it: it, prefix: r.key(familyWindows), shapes: map[uint32]*window.Shape{}}, nil
}

// Close ends the use of the cursor.
func (c *WindowCursor) Close() error { return c.it.Close() }

// Read joins the windows of a series to dst.
func (c *WindowCursor) Read(ordinal uint32, dst *window.Windows) error {
	if first := c.cell.Entries; !c.opened || ordinal > c.last || ordinal < first[0].Series {
		if err := c.open(ordinal); err != nil {
			c.opened = false
			return err
		}
	}
	entries := c.cell.Find(ordinal)
	if len(entries) == 0 {
		return fmt.Errorf("%w: windows of series %d are missing", ErrCorrupt, ordinal)
	}
	for _, e := range entries {
		shape, err := c.shape(e.Shape)
		if err != nil {
			return err
		}
		if err := c.decoder.Values(dst, shape, e.Values); err != nil {
			return fmt.Errorf("%w: series %d: %w", ErrCorrupt, ordinal, err)
		}
	}
	return nil
}

// open opens the cell that has a series.
func (c *WindowCursor) open(ordinal uint32) error {
	near := c.opened && ordinal == c.last+1 && c.it.Next()
	if !near && !c.it.SeekGE(keyspace.AppendUint32(c.prefix[:len(c.prefix):len(c.prefix)], ordinal)) {
		if err := c.it.Err(); err != nil {
			return err
		}
		return fmt.Errorf("%w: windows of series %d are missing", ErrCorrupt, ordinal)
	}
	value := c.it.Value()
	if value == nil && c.it.Err() != nil {
		return c.it.Err()
	}
	c.last = binary.BigEndian.Uint32(c.it.Key()[len(c.prefix):])
	c.row = append(c.row[:0], value...)
	if err := c.cell.Open(c.row); err != nil {
		return fmt.Errorf("%w: cell of series up to %d: %w", ErrCorrupt, c.last, err)
	}
	if len(c.cell.Entries) == 0 {
		return fmt.Errorf("%w: empty cell", ErrCorrupt)
	}
	c.opened = true
	return nil
}

func (c *WindowCursor) shape(number uint32) (*window.Shape, error) {
	if s := c.shapes[number]; s != nil {
		return s, nil
	}
	row, err := c.reader.store.Get(c.reader.key(familyTimes, number))
	if err != nil {
		return nil, fmt.Errorf("read shape %d: %w", number, missing(err))
	}
	s := &window.Shape{}
	if err := c.decoder.Shape(s, row); err != nil {
		return nil, fmt.Errorf("%w: shape %d: %w", ErrCorrupt, number, err)
	}
	if c.held += s.Len(); c.held > shapeRowsHeld {
		clear(c.shapes)
		c.held = s.Len()
	}
	c.shapes[number] = s
	return s, nil
}
