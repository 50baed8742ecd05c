package influx

import (
	"bytes"
	"encoding/binary"
)

// quotedBytesMax is how far a string that has line feeds may reach into the next
// lines. It bounds what a quotation mark too many can cost.
const quotedBytesMax = 64 << 10

// Split returns the length of the first line of b, its line feed included; -1
// when b has none that ends it. A line feed inside of a quoted string does not.
func Split(b []byte) int {
	n := bytes.IndexByte(b, '\n')
	if n < 0 || bytes.IndexByte(b[:n], '"') < 0 || b[0] == '#' {
		return lengthWith(n)
	}
	// Only behind an equals sign does a quotation mark open a string.
	quoted, opens := false, false
	i := fieldsAt(b[:n])
	for ; i < len(b) && i <= n+quotedBytesMax; i++ {
		c := b[i]
		switch {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted && opens
		case c == '\n' && !quoted:
			return i + 1
		}
		opens = c == '='
	}
	if i > n+quotedBytesMax {
		return n + 1
	}
	return -1
}

func lengthWith(n int) int {
	if n < 0 {
		return -1
	}
	return n + 1
}

// fieldsAt returns where the fields of a line start: quotation marks before that
// are ordinary bytes.
func fieldsAt(line []byte) int {
	start := len(line) - len(trimLeft(line))
	return start + indexUnescaped(line[start:], ' ')
}

// indexUnescaped returns the index of the first c that no backslash precedes,
// len(b) when there is none. Two backslashes are one that escapes nothing.
func indexUnescaped(b []byte, c byte) int {
	for from := 0; ; {
		n := bytes.IndexByte(b[from:], c)
		if n < 0 {
			return len(b)
		}
		n += from
		slashes := 0
		for slashes < n && b[n-1-slashes] == '\\' {
			slashes++
		}
		if slashes&1 == 0 {
			return n
		}
		from = n + 1
	}
}

// unescape returns s, a name or a tag's value, without the backslashes that
// escape something. It appends to *buf where there are any.
func unescape(s []byte, buf *[]byte) []byte {
	n := bytes.IndexByte(s, '\\')
	if n < 0 {
		return s
	}
	start := len(*buf)
	out := *buf
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			switch s[i+1] {
			case ' ', ',', '=', '\\':
				i++
			}
		}
		out = append(out, s[i])
	}
	*buf = out
	return out[start:len(out):len(out)]
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

func isASCII(b []byte) bool {
	const high = 0x8080808080808080
	var x uint64
	for ; len(b) >= 8; b = b[8:] {
		x |= binary.LittleEndian.Uint64(b)
	}
	for _, c := range b {
		x |= uint64(c)
	}
	return x&high == 0
}

// sortKey is the start of a name as a number that sorts as names do.
func sortKey(name []byte) uint64 {
	if len(name) >= 8 {
		return binary.BigEndian.Uint64(name)
	}
	var key uint64
	for i, c := range name {
		key |= uint64(c) << (56 - 8*i)
	}
	return key
}
