package bench

import "math"

// Kind is how the values of a series move.
type Kind uint8

// The kinds of series in a fleet.
const (
	Constant     Kind = iota // never changes
	Counter                  // integers, busy
	SlowCounter              // integers, most scrapes add nothing
	FloatCounter             // seconds with two decimals
	ByteGauge                // multiples of 4,096 that wander
	CountGauge               // small integers that wander
	RatioGauge               // fractions with three decimals
	FloatGauge               // full-precision floats that wander
	FirstBucket              // the lowest bucket of a classic histogram
	Bucket                   // a higher bucket: as much as the one below, and its own
	BucketSum                // the sum that goes with the buckets before it
	BucketCount              // the count that goes with the buckets before it

	RestartingCounter // integers, and now and then again from 0
	TenthGauge        // one decimal, wanders
	HundredthGauge    // two decimals, wanders
	PercentGauge      // integers from 0 to 100 that wander
)

// model is the state of one series.
type model struct {
	kind  Kind
	value float64
}

// random is an xorshift generator: a nanosecond a number, and reproducible.
type random uint64

func newRandom(seed uint64) random { return random(seed*0x9e3779b97f4a7c15 | 1) }

func (r *random) next() uint64 {
	x := uint64(*r)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*r = random(x)
	return x
}

// scrape walks the series of a target in order; buckets hand on what they
// counted since the last scrape.
type scrape struct {
	random   random
	observed float64
}

// next moves m on by one scrape and returns its value.
func (s *scrape) next(m *model) float64 {
	if m.kind == Constant {
		return m.value
	}
	x := s.random.next()
	switch m.kind {
	case Counter:
		m.value += float64(x % 512)
	case SlowCounter:
		if x%16 == 0 {
			m.value++
		}
	case FloatCounter:
		m.value = math.Round(m.value*100+float64(x%1500)) / 100
	case ByteGauge:
		m.value = max(0, m.value+4096*float64(int(x%129)-64))
	case CountGauge:
		m.value = max(0, m.value+float64(int(x%7)-3))
	case RatioGauge:
		m.value = float64(x%1001) / 1000
	case FloatGauge:
		m.value += (float64(x>>11)/(1<<53) - 0.5) * 0.1
	case RestartingCounter:
		m.value += float64(x % 512)
		if x>>32%8192 == 0 {
			m.value = 0
		}
	case TenthGauge:
		m.value = max(0, math.Round(m.value*10+float64(int(x%41)-20))/10)
	case HundredthGauge:
		m.value = max(0, math.Round(m.value*100+float64(int(x%301)-150))/100)
	case PercentGauge:
		m.value = min(100, max(0, m.value+float64(int(x%5)-2)))
	case FirstBucket:
		s.observed = float64(x % 8 / 4)
		m.value += s.observed
	case Bucket:
		if x%4 == 0 {
			s.observed += float64(x / 4 % 8)
		}
		m.value += s.observed
	case BucketSum:
		m.value += s.observed * (0.01 + float64(x>>44)/(1<<20)*0.2)
	case BucketCount:
		m.value += s.observed
	}
	return m.value
}
