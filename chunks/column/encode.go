package column

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
)

// settings are what a Level means.
type settings struct {
	// huffmanSamplesMin is the least length of a stream that may be compressed;
	// huffmanSize is what its size must be below, relative to what it takes
	// without an entropy coder.
	huffmanSamplesMin int
	huffmanSize       float64
	// zstdSize is what zstd must stay below, relative to Huffman; 0 for never.
	zstdSize float64
}

const never = SamplesMax + 1

func (l Level) settings() settings {
	switch l {
	case Fast:
		return settings{huffmanSamplesMin: never, huffmanSize: 1}
	case Balanced:
		return settings{huffmanSamplesMin: 400, huffmanSize: 0.85}
	default:
		return settings{huffmanSamplesMin: 64, huffmanSize: 0.97, zstdSize: 0.92}
	}
}

// Encoder encodes columns at one level. It keeps about 100 KiB of scratch.
type Encoder struct {
	settings
	decoder Decoder
	check   [SamplesMax]float64 // what was decoded, to be compared
	body    []byte

	// x and ulps are the integers of a decimal column and except the positions
	// of its exceptions; ordered are the ordered bits.
	x, ulps, ordered [SamplesMax]int64
	except           []int
	dict             dictionary

	r      [SamplesMax]int64  // residuals
	u      [SamplesMax]uint64 // the stream being looked at or written
	tok    [SamplesMax]byte   // its tokens
	blocks [SamplesMax / blockSize]packing
	gaps   [SamplesMax]uint64 // of a sparse stream
	values [SamplesMax]uint64

	huff  huff0.Scratch
	zstd  *zstd.Encoder
	frame []byte
}

// NewEncoder returns an encoder for level.
func NewEncoder(level Level) *Encoder {
	return &Encoder{settings: level.settings()}
}

// plan is how a column of values will be written.
type plan struct {
	survey
	kind    byte
	bits    int // about the size of the body
	scaling scaling
	ints    intsPlan // of x, of the ordered bits or of the differences
	ulps    intsPlan
	hasUlps bool
	back    int // bucketDiff
}

// AppendValues appends a column of the values v, of which there must be 1 to
// SamplesMax, to dst.
func (e *Encoder) AppendValues(dst []byte, v []float64) []byte {
	if len(v) < 1 || len(v) > SamplesMax {
		panic("column: number of values outside of 1 to 1024")
	}
	p := e.plan(v)
	return e.appendPlanned(dst, v, &p)
}

// plan decides how v is written. The integers it is about are left in e.
func (e *Encoder) plan(v []float64) plan {
	p := plan{survey: examine(v), kind: kindRaw, bits: 64 * len(v)}
	if p.same {
		p.kind, p.bits = kindConst, 64
		if x := v[0]; isInteger(math.Float64bits(x)) && math.Abs(x) < constIntMax {
			p.kind, p.bits = kindConstInt, 8*uvarintLen(zigzag(int64(x)))
		}
		return p
	}
	e.planDecimal(v, &p)
	if p.bits > 12*len(v) {
		e.planBits(v, &p)
	}
	if p.bits > 2*len(v) {
		e.planDict(v, &p)
	}
	return p
}

// planBits makes p kindBits if that is smaller.
func (e *Encoder) planBits(v []float64, p *plan) {
	if glanceBits(v)*4 > p.bits*5 {
		return
	}
	ordered := e.ordered[:len(v)]
	for i, f := range v {
		ordered[i] = int64(orderedBits(math.Float64bits(f)))
	}
	if ints := e.planInts(ordered); ints.bits < p.bits {
		p.kind, p.bits, p.ints = kindBits, ints.bits, ints
	}
}

// glanceBits estimates how many bits the differences of the ordered bits of v
// have together; 0 for few samples.
func glanceBits(v []float64) int {
	if len(v) < glanceMin {
		return 0
	}
	var differences [glanceWindows * glanceSize]int64
	var any int64
	n := 0
	for w := range glanceWindows {
		from := 1 + w*(len(v)-1-glanceSize)/(glanceWindows-1)
		for i := from; i < from+glanceSize; i++ {
			d := int64(orderedBits(math.Float64bits(v[i])) - orderedBits(math.Float64bits(v[i-1])))
			differences[n] = d
			any |= d
			n++
		}
	}
	shift := bits.TrailingZeros64(uint64(any)) % 64 // a common divisor, as decimals with few digits have
	size := 0
	for _, d := range differences {
		size += bits.Len64(zigzag(d >> shift))
	}
	return size * len(v) / len(differences)
}

// appendPlanned appends the column v as planned. If it does not decode to v, or
// is not smaller, it is appended as raw bits. A bucket difference is left to the
// caller to decode.
func (e *Encoder) appendPlanned(dst []byte, v []float64, p *plan) []byte {
	start := len(dst)
	e.body = e.appendBody(e.body[:0], v, p)
	if len(e.body) <= 8*len(v) {
		dst = e.assemble(dst, v, p)
		if p.kind == kindBucketDiff || e.decodesTo(dst[start:], v) {
			return dst
		}
		dst = dst[:start]
	}
	p.kind = kindRaw
	e.body = e.appendBody(e.body[:0], v, p)
	return e.assemble(dst, v, p)
}

func (e *Encoder) decodesTo(src []byte, v []float64) bool {
	check := e.check[:len(v)]
	return e.decoder.Values(check, src) == nil && sameBits(check, v)
}

func sameBits(a, b []float64) bool {
	b = b[:len(a)]
	for i, f := range a {
		if math.Float64bits(f) != math.Float64bits(b[i]) {
			return false
		}
	}
	return true
}

// assemble appends the head of the column and e.body.
func (e *Encoder) assemble(dst []byte, v []float64, p *plan) []byte {
	at := len(dst)
	dst = append(dst, p.kind)
	if p.integers {
		dst[at] |= flagIntegers
	}
	if p.resets > 0 {
		dst[at] |= flagResets
		dst = binary.AppendUvarint(dst, uint64(p.resets))
	}
	if p.summaryMayPay(len(v)) {
		before := len(dst)
		dst = p.appendSummary(dst, e.units(v, p))
		if summaryShare*(len(dst)-before) <= len(e.body) {
			dst[at] |= flagSummary
		} else {
			dst = dst[:before]
		}
	}
	return append(dst, e.body...)
}

// A summary is written for columns of at least summarySamplesMin samples whose
// body is at least summaryShare times as large.
const (
	summarySamplesMin = 256
	summaryShare      = 32
)

func (p *plan) summaryMayPay(n int) bool {
	return p.numbers && n >= summarySamplesMin && p.kind != kindConst && p.kind != kindConstInt
}

// units returns the integers of the first, last, least and greatest sample of a
// decimal column, or nil if the column has others than decimals without
// correction.
func (e *Encoder) units(v []float64, p *plan) *[4]int64 {
	if p.kind != kindDecimal && p.kind != kindBucketDiff || p.hasUlps || len(e.except) != p.stale {
		return nil
	}
	var units [4]int64
	seen := false
	for i, x := range e.x[:len(v)] {
		if p.stale > 0 && math.Float64bits(v[i]) == staleBits {
			continue
		}
		if !seen {
			units = [4]int64{x, x, x, x}
			seen = true
		}
		units[1] = x
		units[2] = min(units[2], x)
		units[3] = max(units[3], x)
	}
	return &units
}

func (e *Encoder) appendBody(dst []byte, v []float64, p *plan) []byte {
	switch p.kind {
	case kindConst:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v[0]))
	case kindConstInt:
		return binary.AppendVarint(dst, int64(v[0]))
	case kindDecimal:
		return e.appendDecimal(dst, v, p)
	case kindBucketDiff:
		return e.appendBucketDiff(dst, v, p)
	case kindBits:
		return e.appendInts(dst, e.ordered[:len(v)], &p.ints)
	case kindDict:
		return e.appendDict(dst, len(v))
	default:
		for _, f := range v {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
		}
		return dst
	}
}

func (e *Encoder) appendDecimal(dst []byte, v []float64, p *plan) []byte {
	head := p.scaling.exponent | p.scaling.rule<<decimalRule
	if len(e.except) > 0 {
		head |= decimalExcept
	}
	if p.hasUlps {
		head |= decimalUlps
	}
	dst = append(dst, head)
	if len(e.except) > 0 {
		dst = appendExceptions(dst, v, e.except)
	}
	dst = e.appendInts(dst, e.x[:len(v)], &p.ints)
	if p.hasUlps {
		dst = e.appendInts(dst, e.ulps[:len(v)], &p.ulps)
	}
	return dst
}

// appendBucketDiff appends the differences, which are in e.ordered.
func (e *Encoder) appendBucketDiff(dst []byte, v []float64, p *plan) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.back))
	if len(e.except) > 0 {
		dst = appendExceptions(append(dst, decimalExcept), v, e.except)
	} else {
		dst = append(dst, 0)
	}
	return e.appendInts(dst, e.ordered[:len(v)], &p.ints)
}
