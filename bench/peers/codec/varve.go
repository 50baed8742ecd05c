package codec

import (
	"fmt"

	"github.com/varve-db/varve/chunks/column"
)

// cellSeries is how many series share a cell.
const cellSeries = 64

// varve is the codec of sealed data.
type varve struct {
	encoder *column.Encoder
	writer  *column.CellWriter
}

func newVarve(level column.Level) *varve {
	encoder := column.NewEncoder(level)
	return &varve{encoder: encoder, writer: column.NewCellWriter(encoder)}
}

// varveSealed is a capture as cells and columns of timestamps.
type varveSealed struct {
	columns [][]byte
	cells   [][]byte
	reader  column.CellReader
	decoder column.Decoder
	times   []int64
	values  []float64
}

func (v *varve) encode(c *capture) (encoded, error) {
	s := &varveSealed{times: make([]int64, column.SamplesMax), values: make([]float64, column.SamplesMax)}
	for _, part := range c.parts {
		d := dates{ids: map[[16]byte]uint32{}, recent: map[int]recentTimes{}}
		first := 0
		for i := range part {
			k := &part[i]
			if v.writer.Len() > 0 && k.series-first >= cellSeries {
				v.endCell(s)
			}
			if v.writer.Len() == 0 {
				first = k.series
			}
			entry := column.Entry{Series: uint32(k.series), Times: v.slice(s, &d, k), Values: k.values, Bucket: k.bucket}
			if err := v.writer.Add(entry); err != nil {
				return nil, fmt.Errorf("add series %d to a cell: %w", k.series, err)
			}
		}
		v.endCell(s)
	}
	return s, nil
}

func (v *varve) endCell(s *varveSealed) {
	if v.writer.Len() > 0 {
		s.cells = append(s.cells, v.writer.AppendTo(nil))
		v.writer.Reset()
	}
}

// dates finds the timestamps that a part has already.
type dates struct {
	ids    map[[16]byte]uint32
	recent map[int]recentTimes // by target
}

type recentTimes struct {
	id    uint32
	times []int64
}

// slice returns where the timestamps of k are, encoding them if they are new.
func (v *varve) slice(s *varveSealed, d *dates, k *chunk) column.Slice {
	length := uint32(len(k.times))
	recent := d.recent[k.target]
	if offset, ok := column.FindSlice(recent.times, k.times); ok && len(recent.times) > 0 {
		return column.Slice{Column: recent.id, Offset: uint32(offset), Length: length}
	}
	hash := column.HashTimes(k.times)
	id, ok := d.ids[hash]
	if !ok {
		id = uint32(len(s.columns))
		d.ids[hash] = id
		s.columns = append(s.columns, v.encoder.AppendTimes(nil, k.times))
	}
	if len(k.times) >= len(recent.times) {
		d.recent[k.target] = recentTimes{id, k.times}
	}
	return column.Slice{Column: id, Length: length}
}

func (s *varveSealed) size() int { return total(s.columns) + total(s.cells) }

func total(all [][]byte) (n int) {
	for _, b := range all {
		n += len(b)
	}
	return n
}

// decodeTimes decodes every column of timestamps once.
func (s *varveSealed) decodeTimes() error {
	for _, src := range s.columns {
		n, err := column.TimesLen(src, len(s.times))
		if err != nil {
			return err
		}
		if err := s.decoder.Times(s.times[:n], src, 0); err != nil {
			return err
		}
	}
	return nil
}

func (s *varveSealed) decodeValues() error {
	for _, src := range s.cells {
		if err := s.reader.Open(src, column.Limits{}); err != nil {
			return err
		}
		for i := range s.reader.Len() {
			if err := s.reader.Values(s.values, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// each decodes the timestamps of every chunk anew.
func (s *varveSealed) each(visit visitor) error {
	for _, src := range s.cells {
		if err := s.reader.Open(src, column.Limits{}); err != nil {
			return err
		}
		for i := range s.reader.Len() {
			at := s.reader.Times(i)
			times := s.times[:at.Length]
			if err := s.decoder.Times(times, s.columns[at.Column], int(at.Offset)); err != nil {
				return err
			}
			if err := s.reader.Values(s.values, i); err != nil {
				return err
			}
			visit(times, s.values[:at.Length])
		}
	}
	return nil
}

// verify holds cells and columns against their checksums.
func (s *varveSealed) verify() error {
	for _, src := range s.columns {
		if err := column.VerifyTimes(src); err != nil {
			return err
		}
	}
	for _, src := range s.cells {
		if err := s.reader.Open(src, column.Limits{}); err != nil {
			return err
		}
		if err := s.reader.Verify(); err != nil {
			return err
		}
	}
	return nil
}
