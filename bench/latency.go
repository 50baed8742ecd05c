package bench

import (
	"math/bits"
	"time"
)

// latencies counts durations in buckets no wider than 1/32 of their value.
type latencies struct {
	counts [64 * subBuckets]uint32
	total  int
	max    time.Duration
}

const (
	subBuckets    = 32
	subBucketBits = 5
)

func (l *latencies) add(d time.Duration) {
	l.counts[bucketOf(uint64(max(d, 0)))]++
	l.total++
	l.max = max(l.max, d)
}

func (l *latencies) merge(other *latencies) {
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.total += other.total
	l.max = max(l.max, other.max)
}

// quantile returns a duration that a share q of all do not exceed, at most 1/32
// too long.
func (l *latencies) quantile(q float64) time.Duration {
	rank := int(q * float64(l.total))
	if float64(rank) < q*float64(l.total) {
		rank++
	}
	seen := 0
	for i, n := range l.counts {
		seen += int(n)
		if seen >= rank && seen > 0 {
			return min(time.Duration(bucketEnd(i)), l.max)
		}
	}
	return l.max
}

// bucketOf keeps the highest bits of n: small numbers have buckets of their
// own, and every power of two above has subBuckets.
func bucketOf(n uint64) int {
	if n < subBuckets {
		return int(n)
	}
	shift := bits.Len64(n) - subBucketBits - 1
	return (shift+1)*subBuckets + int(n>>shift) - subBuckets
}

// bucketEnd returns the highest number of bucket i.
func bucketEnd(i int) uint64 {
	if i < subBuckets {
		return uint64(i)
	}
	shift := i/subBuckets - 1
	return uint64(i%subBuckets+subBuckets+1)<<shift - 1
}

// Latency sums up how long requests took, in seconds.
type Latency struct {
	P50 float64 `json:"p50_seconds"`
	P90 float64 `json:"p90_seconds"`
	P99 float64 `json:"p99_seconds"`
	Max float64 `json:"max_seconds"`
}

func (l *latencies) summary() Latency {
	return Latency{
		P50: l.quantile(0.5).Seconds(),
		P90: l.quantile(0.9).Seconds(),
		P99: l.quantile(0.99).Seconds(),
		Max: l.max.Seconds(),
	}
}
