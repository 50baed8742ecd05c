package retention

import (
	"cmp"
	"slices"
	"time"
)

// Partition is a tenant's part of one time window of the database, in one resolution.
// Times are milliseconds since 1970, the window is half open.
type Partition struct {
	Tenant     string // its name
	Resolution Resolution
	Start, End int64
	Bytes      uint64 // on disk
	// Number and Level are what the store calls tenant and resolution.
	Number uint32
	Level  uint8
}

// Policy says what to keep. The zero value keeps everything.
type Policy struct {
	Rules Rules
	// Keep is the age up to which samples are kept that no rule is about; 0 keeps
	// them for ever.
	Keep time.Duration
	// BytesMax bounds the space of all partitions together; 0 does not.
	BytesMax uint64
	// KeepMin is the age up to which no partition goes for BytesMax.
	KeepMin time.Duration
}

// longest returns how long series of a tenant in a resolution are kept at most; 0: for
// ever.
func (p *Policy) longest(tenant string, resolution Resolution) time.Duration {
	longest := time.Duration(0)
	for i := range p.Rules {
		r := &p.Rules[i]
		if !r.About(tenant, resolution) {
			continue
		}
		if r.Keep == 0 {
			return 0
		}
		longest = max(longest, r.Keep)
		if r.Selectors == nil {
			return longest
		}
	}
	if p.Keep == 0 {
		return 0
	}
	return max(longest, p.Keep)
}

// longestOfAll returns how long anything is kept at most; 0: for ever.
func (p *Policy) longestOfAll() time.Duration {
	longest := time.Duration(0)
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Keep == 0 {
			return 0
		}
		longest = max(longest, r.Keep)
		if r.Tenant == "" && r.Resolution == Any && r.Selectors == nil {
			return longest
		}
	}
	if p.Keep == 0 {
		return 0
	}
	return max(longest, p.Keep)
}

// Expired returns the partitions that policy gives up at the time now, oldest
// first. A partition is given up as a whole: by age once its window ended
// before now less the longest time for which a series in it may be kept, by size while
// the partitions exceed BytesMax. The newest window is never given up for its size,
// however small BytesMax is, nor is what KeepMin keeps.
func Expired(parts []Partition, policy Policy, now time.Time) []Partition {
	byAge, bySize, _ := expired(parts, policy, now)
	return append(byAge, bySize...)
}

// ExpiredBySize returns only what Expired gives up for its size.
func ExpiredBySize(parts []Partition, policy Policy, now time.Time) []Partition {
	_, bySize, _ := expired(parts, policy, now)
	return bySize
}

// expired is Expired with the two reasons apart, and with the bytes above BytesMax that
// KeepMin keeps.
func expired(parts []Partition, policy Policy, now time.Time) (byAge, bySize []Partition, held uint64) {
	var rest []Partition
	for _, p := range parts {
		if keep := policy.longest(p.Tenant, p.Resolution); keep > 0 && p.End <= now.Add(-keep).UnixMilli() {
			byAge = append(byAge, p)
		} else {
			rest = append(rest, p)
		}
	}
	byEnd := func(a, b Partition) int { return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Start, b.Start)) }
	slices.SortStableFunc(byAge, byEnd)
	slices.SortStableFunc(rest, byEnd)
	if policy.BytesMax == 0 {
		return byAge, nil, 0
	}
	total := totalBytes(rest)
	// Windows go as a whole: partitions of several tenants may share one.
	n := 0
	for total > policy.BytesMax && rest[n].End < rest[len(rest)-1].End {
		if policy.KeepMin > 0 && rest[n].End > now.Add(-policy.KeepMin).UnixMilli() {
			held = total - policy.BytesMax
			break
		}
		for end := rest[n].End; rest[n].End == end; n++ {
			total -= rest[n].Bytes
		}
	}
	return byAge, rest[:n:n], held
}
