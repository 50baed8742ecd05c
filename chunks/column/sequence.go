package column

import "encoding/binary"

// Sequence reads columns that lie one behind the other, each as long as its
// reader asks: for rows that are neither cells nor timestamp columns. Open it,
// read the columns in the order in which they were appended, then End. The zero
// value is ready for Open; it keeps a Decoder.
type Sequence struct {
	decoder Decoder
	c       cursor
}

// Open makes s read the columns in src.
func (s *Sequence) Open(src []byte) { s.c = cursor{src: src} }

// Len returns how many bytes are left.
func (s *Sequence) Len() int { return len(s.c.src) - s.c.off }

// holds fails unless n samples fit a column.
func (s *Sequence) holds(n int) bool {
	if n < 1 || n > SamplesMax {
		s.c.fail("number of samples outside of 1 to 1024")
	}
	return s.c.err == nil
}

// Integers decodes the next column, of integers, into dst.
func (s *Sequence) Integers(dst []int64) error {
	if s.holds(len(dst)) {
		s.decoder.readSegment(&s.c, dst)
	}
	return s.c.result()
}

// Values decodes the next column, of values, into dst.
func (s *Sequence) Values(dst []float64) error {
	if s.holds(len(dst)) {
		kind := s.c.head(len(dst))
		s.decoder.body(&s.c, kind, dst)
	}
	return s.c.result()
}

// Starts decodes the next column, of the start timestamps of samples at times,
// into dst.
func (s *Sequence) Starts(dst, times []int64) error {
	if s.holds(len(dst)) {
		s.decoder.starts(&s.c, dst, times)
	}
	return s.c.result()
}

// End returns an error unless everything was read.
func (s *Sequence) End() error {
	s.c.end()
	return s.c.result()
}

// AppendIntegers appends a column of the integers x, of which there must be 1 to
// SamplesMax, to dst.
func (e *Encoder) AppendIntegers(dst []byte, x []int64) []byte {
	if len(x) < 1 || len(x) > SamplesMax {
		panic("column: number of integers outside of 1 to 1024")
	}
	return e.appendSegment(dst, x)
}

// AppendChecksum appends to dst the checksum of its bytes from from on.
func AppendChecksum(dst []byte, from int) []byte {
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[from:]))
}

// CutChecksum returns src without the checksum at its end, which must be that of
// the bytes before.
func CutChecksum(src []byte) ([]byte, error) {
	if err := verify(src); err != nil {
		return nil, err
	}
	return src[:len(src)-checksumSize], nil
}
