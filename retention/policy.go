package retention

import (
	"cmp"
	"slices"
	"time"
)

// Partition is one time window of the database, or one tenant's part of it.
// Times are milliseconds since 1970, the window is half open.
type Partition struct {
	Start, End int64
	Bytes      uint64 // on disk
}

// Policy says what to keep. The zero value keeps everything.
type Policy struct {
	// Keep is the age up to which samples are kept; 0 keeps them for ever.
	Keep time.Duration
	// BytesMax bounds the space of all partitions together; 0 does not.
	BytesMax uint64
}

// Expired returns the partitions that policy gives up at the time now, oldest
// first. A partition is given up as a whole: by age once its window ended
// before now minus Keep, by size while the partitions exceed BytesMax. The
// newest window is never given up for its size, however small BytesMax is.
func Expired(parts []Partition, policy Policy, now time.Time) []Partition {
	byAge, bySize := expired(parts, policy, now)
	return append(byAge, bySize...)
}

// expired is Expired with the two reasons apart.
func expired(parts []Partition, policy Policy, now time.Time) (byAge, bySize []Partition) {
	sorted := slices.Clone(parts)
	slices.SortFunc(sorted, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Start, b.Start))
	})
	n := 0
	if policy.Keep > 0 {
		oldest := now.Add(-policy.Keep).UnixMilli()
		for n < len(sorted) && sorted[n].End <= oldest {
			n++
		}
	}
	byAge, rest := sorted[:n:n], sorted[n:]
	if policy.BytesMax == 0 {
		return byAge, nil
	}
	total := uint64(0)
	for _, p := range rest {
		total += p.Bytes
	}
	// Windows go as a whole: partitions of several tenants may share one.
	n = 0
	for total > policy.BytesMax && rest[n].End < rest[len(rest)-1].End {
		for end := rest[n].End; rest[n].End == end; n++ {
			total -= rest[n].Bytes
		}
	}
	return byAge, rest[:n:n]
}
