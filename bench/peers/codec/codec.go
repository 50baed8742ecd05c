package codec

import "github.com/varve-db/varve/chunks/column"

// codec turns the chunks of a capture into bytes.
type codec interface {
	// encode encodes all of c; the result is the codec's until the next call.
	encode(c *capture) (encoded, error)
}

// encoded is a capture as bytes.
type encoded interface {
	size() int
	// each decodes every chunk, timestamps and values, and shows it to visit in
	// the order of the capture. The slices are used again.
	each(visit visitor) error
}

type visitor func(times []int64, values []float64)

// divided is an encoded capture whose timestamps and values can be decoded by
// themselves.
type divided interface {
	decodeTimes() error
	decodeValues() error
}

// codecs are those compared, by the name in a benchmark.
func codecs() []named {
	return []named{
		{"victoria", &victoria{}},
		{"varve-fast", newVarve(column.Fast)},
		{"varve-balanced", newVarve(column.Balanced)},
		{"varve-small", newVarve(column.Small)},
		{"prometheus-xor", &xor{}},
	}
}

type named struct {
	name string
	codec
}
