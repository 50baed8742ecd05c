package column

// Forms of a stream of n unsigned integers: the high 4 bits of the first byte
// of a column of integers, or a byte of its own.
//
//	zero    nothing; all values are 0
//	packed  see pack.go
//	raw, huff1, huff4, zstd, rle
//	        tokens (see token.go), then the extra bits, least significant first.
//	        raw: n bytes; huff1, huff4, zstd: uvarint length, that many bytes;
//	        rle: the one token that all values have
//	sparse  uvarint number of values that are not 0; a stream of the gaps
//	        before each of them; a stream of these values less 1
const (
	streamZero   = 0
	streamPacked = 1
	streamRaw    = 2
	streamHuff1  = 3
	streamHuff4  = 4
	streamZstd   = 5
	streamRLE    = 6
	streamSparse = 7
)

// streams decodes streams into u, the first values of which are the result.
type streams struct {
	u   [SamplesMax]uint64
	tok [SamplesMax]byte
	at  [SamplesMax]uint16 // positions of the values of a sparse stream
	entropy
	column ints // the column being decoded
}

// decode decodes a stream of n values, other than a sparse one, into u[:n].
func (s *streams) decode(c *cursor, form byte, n int) {
	switch form {
	case streamZero:
		clear(s.u[:n])
	case streamPacked:
		c.packed(s.u[:n])
	case streamRaw, streamHuff1, streamHuff4, streamZstd, streamRLE:
		tok := s.tok[:n:n]
		switch form {
		case streamRaw:
			copy(tok, c.take(n))
		case streamRLE:
			t := c.u8()
			for i := range tok {
				tok[i] = t
			}
		default:
			s.expand(c, form, tok)
		}
		if c.err == nil {
			c.detokenize(s.u[:n], tok)
		}
	default:
		c.fail("unknown form of stream")
	}
}

// sparse decodes a sparse stream of n values: at[:m] are the positions of the
// values other than 0 and u[:m] are these values. It returns m.
func (s *streams) sparse(c *cursor, n int) int {
	m := c.count(n, "too many values in a sparse stream")
	s.nested(c, m)
	if c.err != nil {
		return 0
	}
	next := uint64(0)
	for i, gap := range s.u[:m] {
		next += gap
		if gap >= uint64(n) || next >= uint64(n) {
			c.fail("sparse position outside of the stream")
			return 0
		}
		s.at[i] = uint16(next)
		next++
	}
	s.nested(c, m)
	if c.err != nil {
		return 0
	}
	for i := range s.u[:m] {
		s.u[i]++
	}
	return m
}

func (s *streams) nested(c *cursor, n int) {
	form := c.u8()
	if c.err == nil {
		s.decode(c, form, n)
	}
}

// scatter turns the m values of a sparse stream into its n values in u.
func (s *streams) scatter(m, n int) {
	// A value's position is not below its index, so going backwards no value
	// is overwritten before it has been moved.
	end := n
	for i := m - 1; i >= 0; i-- {
		at, v := int(s.at[i]), s.u[i]
		clear(s.u[at+1 : end])
		s.u[at] = v
		end = at
	}
	clear(s.u[:end])
}
