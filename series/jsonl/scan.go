package jsonl

import (
	"bytes"
	"encoding/hex"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner walks over the JSON of a line. Its methods return what they found and
// report false where something else stands.
type scanner struct {
	b []byte
	i int
}

// next skips white space and returns the byte that follows, 0 at the end.
func (s *scanner) next() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// take skips white space and the byte c.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.i++
	return true
}

// more skips what stands between two elements of a list, or behind the last. It
// reports whether there is another, and whether that is right. first is set
// before the first element.
func (s *scanner) more(end byte, first bool) (another, ok bool) {
	switch c := s.next(); {
	case c == end:
		s.i++
		return false, true
	case first:
		return true, true
	case c == ',':
		s.i++
		return s.next() != end, s.next() != end
	}
	return false, false
}

// text reads a string. It returns bytes of the line, or of *buf where there are
// escapes.
func (s *scanner) text(buf *[]byte) ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	n := bytes.IndexByte(s.b[s.i:], '"')
	if n < 0 {
		return nil, false
	}
	plain := s.b[s.i : s.i+n]
	escape := bytes.IndexByte(plain, '\\')
	if escape < 0 {
		s.i += n + 1
		return plain, true
	}
	out := append((*buf)[:0], plain[:escape]...)
	for s.i += escape; s.i < len(s.b); {
		switch c := s.b[s.i]; c {
		case '"':
			s.i++
			*buf = out
			return out, true
		case '\\':
			var ok bool
			if out, ok = s.escape(out); !ok {
				return nil, false
			}
		default:
			out = append(out, c)
			s.i++
		}
	}
	return nil, false
}

// escape reads one escape and appends what it stands for to out.
func (s *scanner) escape(out []byte) ([]byte, bool) {
	if s.i+1 >= len(s.b) {
		return out, false
	}
	c := s.b[s.i+1]
	s.i += 2
	switch c {
	case '"', '\\', '/':
		return append(out, c), true
	case 'b':
		return append(out, '\b'), true
	case 'f':
		return append(out, '\f'), true
	case 'n':
		return append(out, '\n'), true
	case 'r':
		return append(out, '\r'), true
	case 't':
		return append(out, '\t'), true
	case 'u':
		r, ok := s.unit()
		if !ok {
			return out, false
		}
		if utf16.IsSurrogate(r) {
			second := rune(0)
			if bytes.HasPrefix(s.b[s.i:], []byte(`\u`)) {
				s.i += 2
				if second, ok = s.unit(); !ok {
					return out, false
				}
			}
			if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
				return out, false
			}
		}
		return utf8.AppendRune(out, r), true
	}
	return out, false
}

// unit reads the four hexadecimal digits of \u.
func (s *scanner) unit() (rune, bool) {
	var two [2]byte
	if len(s.b)-s.i < 4 {
		return 0, false
	}
	if _, err := hex.Decode(two[:], s.b[s.i:s.i+4]); err != nil {
		return 0, false
	}
	s.i += 4
	return rune(two[0])<<8 | rune(two[1]), true
}

// word reads what stands before the next delimiter: a number, true, null.
func (s *scanner) word() []byte {
	s.next()
	start := s.i
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ',', ']', '}', ':', '"', '[', '{', ' ', '\t', '\r', '\n':
			return s.b[start:s.i]
		}
		s.i++
	}
	return s.b[start:]
}

// skip reads any value. Lists and objects need only have as many brackets that
// open as close.
func (s *scanner) skip(buf *[]byte) bool {
	for depth := 0; ; {
		switch c := s.next(); c {
		case 0:
			return false
		case '[', '{':
			depth++
			s.i++
		case ']', '}':
			if depth--; depth < 0 {
				return false
			}
			s.i++
		case ',', ':':
			if depth == 0 {
				return false
			}
			s.i++
			continue
		case '"':
			if _, ok := s.text(buf); !ok {
				return false
			}
		default:
			if len(s.word()) == 0 {
				return false
			}
		}
		if depth == 0 {
			return true
		}
	}
}
