package text

import "bytes"

// scanner walks over a line.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) end() bool { return s.i == len(s.b) }

func (s *scanner) space() {
	for s.i < len(s.b) && isSpace(s.b[s.i]) {
		s.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// take takes the byte c, and the white space before it.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.end() || s.b[s.i] != c {
		return false
	}
	s.i++
	return true
}

// word takes what stands before the next white space.
func (s *scanner) word() []byte {
	start := s.i
	for s.i < len(s.b) && !isSpace(s.b[s.i]) {
		s.i++
	}
	return s.b[start:s.i]
}

// name takes a name that needs no quotes; colons are for metrics alone. Nothing
// was taken where it is empty.
func (s *scanner) name(colons bool) []byte {
	start := s.i
	for s.i < len(s.b) {
		c := s.b[s.i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
		if !letter && !(c == ':' && colons) && !(c >= '0' && c <= '9' && s.i > start) {
			break
		}
		s.i++
	}
	return s.b[start:s.i]
}

// metricName takes the name of a metric, with or without quotes.
func (s *scanner) metricName(buf *[]byte) ([]byte, bool) {
	if !s.end() && s.b[s.i] == '"' {
		name, ok := s.quoted(buf)
		return name, ok && len(name) > 0
	}
	name := s.name(true)
	return name, len(name) > 0
}

// quoted takes a quoted string. It returns bytes of the line, or of *buf where
// there are escapes.
func (s *scanner) quoted(buf *[]byte) ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	rest := s.b[s.i:]
	if n := bytes.IndexByte(rest, '"'); n >= 0 && bytes.IndexByte(rest[:n], '\\') < 0 {
		s.i += n + 1
		return rest[:n], true
	}
	for i := s.i; i < len(s.b); i++ {
		switch s.b[i] {
		case '"':
			inside := s.b[s.i:i]
			s.i = i + 1
			return unescape(inside, true, buf), true
		case '\\':
			i++
		}
	}
	return nil, false
}

// unescape undoes \\, \n and, if quotes is set, \". Other backslashes stay.
func unescape(b []byte, quotes bool, buf *[]byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	start := len(*buf)
	out := *buf
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			switch next := b[i+1]; {
			case next == 'n':
				c = '\n'
				i++
			case next == '\\', next == '"' && quotes:
				c = next
				i++
			}
		}
		out = append(out, c)
	}
	*buf = out
	return out[start:len(out):len(out)]
}

// clip bounds what a message shows of a line.
func clip(b []byte) []byte {
	const shown = 64
	return b[:min(len(b), shown)]
}
