package column

// SamplesMax is the largest number of samples in a column of values. It bounds
// what a query for one instant has to decode, and every scratch of a Decoder.
const SamplesMax = 1024

// Level is how hard an Encoder tries. The format and the decoder are the same
// for all levels.
type Level uint8

// The levels. Fast uses no entropy coder; Balanced uses one where it saves much;
// Small uses whatever is smaller.
const (
	Fast Level = iota
	Balanced
	Small
)

// String returns the level's name.
func (l Level) String() string {
	switch l {
	case Fast:
		return "fast"
	case Balanced:
		return "balanced"
	case Small:
		return "small"
	default:
		return "unknown"
	}
}

// Run is a stretch of equal values: the samples up to End, exclusive, from the
// End of the run before it (or 0).
type Run struct {
	Value float64 // compared by bits: a NaN is a value like any other
	End   int
}

// Info is what a column says about itself before it is decoded.
type Info struct {
	// Resets counts the samples below their predecessor, as PromQL's resets()
	// counts them once stale markers are left out.
	Resets int
	// Integers says that every sample other than stale markers is an integer
	// of at most 2^53 in magnitude and not -0.
	Integers bool
	// Constant says that all samples have the same bits, those of Summary.First.
	Constant bool
	// HasSummary says that Summary is filled. Encoders write one where it is
	// small beside the column; constants have one always.
	HasSummary bool
	Summary    Summary
}

// Summary describes the samples of a column other than stale markers. Columns
// with infinities or NaNs have none.
type Summary struct {
	Count                 int
	First, Last, Min, Max float64
	// Sum is the exact sum of the samples if SumExact, and 0 otherwise.
	Sum      float64
	SumExact bool
}

// Kinds of value columns: the low 4 bits of a column's first byte.
const (
	kindConst      = 0 // u64 bits
	kindConstInt   = 1 // varint
	kindDecimal    = 2 // decimal integers, possibly with ulp corrections
	kindBits       = 3 // ordered bits as integers
	kindDict       = 4 // dictionary and index
	kindBucketDiff = 5 // difference to an earlier bucket of the cell
	kindRaw        = 6 // n*u64
	kindRef        = 9 // identical to an earlier column of the cell
)

// Flags of a value column's first byte.
const (
	kindMask     = 0x0f
	flagIntegers = 0x10
	flagResets   = 0x20
	flagSummary  = 0x40
	flagReserved = 0x80
)

// Bit patterns with a meaning.
const (
	staleBits   = 0x7ff0000000000002 // Prometheus's stale marker
	nanBits     = 0x7ff8000000000001 // Prometheus's normal NaN
	infBits     = 0x7ff0000000000000
	negInfBits  = 0xfff0000000000000
	negZeroBits = 0x8000000000000000
)

// constIntMax bounds the magnitude of kindConstInt, exclusive.
const constIntMax = 1 << 40

// exactIntMax is the largest magnitude up to which every integer is a float64.
const exactIntMax = 1 << 53

// orderedBits maps the bits of a float to a signed integer of the same order
// as the floats, and back: it is its own inverse.
func orderedBits(b uint64) uint64 { return b ^ uint64(int64(b)>>63)>>1 }
