package jsonl

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
)

const (
	infinity      = "Infinity"
	minusInfinity = "-Infinity"
	bitsOfNaN     = "NaN:" // and 16 hexadecimal digits
	usualNaN      = 0x7ff8000000000001
)

// AppendLine appends the line of a series, line feed included, to dst. Values
// and timestamps (milliseconds) go together and are of the same number.
func AppendLine(dst []byte, ls labels.Labels, timestamps []int64, values []float64) []byte {
	dst = append(dst, `{"metric":{`...)
	first := true
	ls.Range(func(l labels.Label) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, l.Name)
		dst = append(dst, ':')
		dst = appendString(dst, l.Value)
	})
	dst = append(dst, `},"values":[`...)
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendValue(dst, v)
	}
	dst = append(dst, `],"timestamps":[`...)
	for i, t := range timestamps {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, t, 10)
	}
	return append(dst, ']', '}', '\n')
}

func appendValue(dst []byte, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(dst, `"`+infinity+`"`...)
	case math.IsInf(v, -1):
		return append(dst, `"`+minusInfinity+`"`...)
	case math.IsNaN(v):
		if bits := math.Float64bits(v); bits != usualNaN {
			dst = append(dst, `"`+bitsOfNaN...)
			return append(strconv.AppendUint(dst, bits, 16), '"')
		}
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD; label sets have none.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}
