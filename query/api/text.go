package api

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
)

const hexDigits = "0123456789abcdef"

// escaping says what of a string may not stand in JSON as it is.
type escaping uint8

const (
	// escapePlain is for label sets: quotes, backslashes and control characters.
	escapePlain escaping = iota
	// escapeHTML is for everything else: also <, > and &, and U+2028 and U+2029.
	escapeHTML
)

// appendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string, how escaping) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && (how == escapePlain || c != '<' && c != '>' && c != '&') {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendEscaped(dst, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(append(dst, s[start:i]...), `\ufffd`...)
			start = i + size
		case how == escapeHTML && (r == '\u2028' || r == '\u2029'):
			dst = append(append(dst, s[start:i]...), `\u202`...)
			dst = append(dst, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}

// appendStrings appends a JSON array of strings.
func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s, escapeHTML)
	}
	return append(dst, ']')
}

// appendLabels appends a label set as a JSON object.
func appendLabels(dst []byte, set labels.Labels) []byte {
	dst = append(dst, '{')
	first := true
	set.Range(func(l labels.Label) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, l.Name, escapePlain)
		dst = append(dst, ':')
		dst = appendString(dst, l.Value, escapePlain)
	})
	return append(dst, '}')
}

// appendTime appends milliseconds as seconds, with three digits of a fraction
// that is not zero.
func appendTime(dst []byte, ms int64) []byte {
	whole, rest := ms/1000, ms%1000
	if ms < 0 {
		dst, rest = append(dst, '-'), -rest
	}
	dst = strconv.AppendUint(dst, magnitude(whole), 10)
	if rest != 0 {
		dst = append(dst, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
	return dst
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return uint64(-n)
	}
	return uint64(n)
}

// appendNumber appends f as a JSON number; what JSON has no number for becomes null.
func appendNumber(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	if abs := math.Abs(f); abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n-from >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 is e-9
		dst = dst[:n-1]
	}
	return dst
}

// appendFixed appends a scalar's value as a JSON string; unlike a sample's it
// never has an exponent.
func appendFixed(dst []byte, v float64) []byte {
	return append(strconv.AppendFloat(append(dst, '"'), v, 'f', -1, 64), '"')
}
