package block

import (
	"encoding/binary"
	"fmt"

	"github.com/varve-db/varve/chunks/window"
)

// windowVerifier is what a verifier keeps of windows.
type windowVerifier struct {
	derived     bool
	windowCell  window.Cell
	windows     window.Decoder
	decodedRows window.Windows
	shapes      map[uint32]*window.Shape
	shapeRows   int
}

// shapeRow reads a shape of windows.
func (v *verifier) shapeRow(id uint32, value []byte) error {
	if id >= v.sealed.Columns {
		return fmt.Errorf("%w: shape %d of %d", ErrCorrupt, id, v.sealed.Columns)
	}
	v.sealedFlush().found.ChunkBytes += uint64(len(value))
	_, err := v.decodeShape(id, value)
	return err
}

func (v *verifier) decodeShape(id uint32, value []byte) (*window.Shape, error) {
	s := &window.Shape{}
	if err := v.windows.Shape(s, value); err != nil {
		return nil, err
	}
	width := v.out.ID.WindowWidth().Milliseconds()
	for _, end := range s.End {
		if width == 0 || end%width != 0 {
			return nil, fmt.Errorf("%w: a window of %d ms ends at %d", ErrCorrupt, width, end)
		}
	}
	if v.shapeRows += s.Len(); v.shapes == nil || v.shapeRows > shapeRowsHeld {
		v.shapes, v.shapeRows = map[uint32]*window.Shape{}, s.Len()
	}
	v.shapes[id] = s
	return s, nil
}

func (v *verifier) shapeAt(id uint32) (*window.Shape, error) {
	if s := v.shapes[id]; s != nil {
		return s, nil
	}
	row, err := v.rows.Reader.Get(v.keyOf(familyTimes, id))
	if err != nil {
		return nil, fmt.Errorf("read shape %d: %w", id, missing(err))
	}
	return v.decodeShape(id, row)
}

// windowRow reads a cell of windows: every series has some.
func (v *verifier) windowRow(_, rest, value []byte) error {
	f := v.sealedFlush()
	if len(rest) != 4 || f == nil || !v.derived {
		return fmt.Errorf("%w: key of windows", ErrCorrupt)
	}
	last := binary.BigEndian.Uint32(rest)
	f.found.ChunkBytes += uint64(len(value))
	if err := v.windowCell.Open(value); err != nil {
		return err
	}
	next := v.groupFirst
	for i, e := range v.windowCell.Entries {
		if e.Series == next {
			v.decodedRows.Reset()
			next++
		} else if i == 0 || e.Series != next-1 {
			return fmt.Errorf("%w: entry %d of a cell is of series %d, not %d", ErrCorrupt, i, e.Series, next)
		}
		if err := v.windowEntry(f, &e); err != nil {
			return fmt.Errorf("entry %d of the cell, series %d: %w", i, e.Series, err)
		}
	}
	v.groupFirst = next
	if next != last+1 {
		return fmt.Errorf("%w: a cell ends with series %d, not %d", ErrCorrupt, int64(next)-1, last)
	}
	return nil
}

func (v *verifier) windowEntry(f *flushTally, e *window.Entry) error {
	if _, err := v.seriesOf(f, e.Series); err != nil {
		return err
	}
	shape, err := v.shapeAt(e.Shape)
	if err != nil {
		return err
	}
	rows := &v.decodedRows
	from := rows.Len()
	if err := v.windows.Values(rows, shape, e.Values); err != nil {
		return err
	}
	if from > 0 && rows.End[from] <= rows.End[from-1] {
		return fmt.Errorf("%w: window %d behind %d", ErrCorrupt, rows.End[from], rows.End[from-1])
	}
	f.count(rows.Len()-from, firstTime(rows, from), lastTime(rows, rows.Len()-1))
	return nil
}
