package head

import "time"

// Spread is the time from the first to the last sample of a series, on average: a
// series with twice the samples counts twice, so that a few stray ones hardly
// matter. Late samples are left out where a series has others.
type Spread struct{ milliseconds, samples float64 }

// Average returns the average, 0 of nothing.
func (s *Spread) Average() time.Duration {
	if s.samples == 0 {
		return 0
	}
	return time.Duration(s.milliseconds / s.samples * float64(time.Millisecond))
}

// Add counts in what a series has in [from, to).
func (s *Spread) Add(x *Series, from, to int64) {
	n, first, last := x.Open.Count, x.Open.MinTime, x.Open.MaxTime
	if n == 0 {
		if n = len(x.Extra); n == 0 {
			return
		}
		first, last = x.Extra[0].Time, x.Extra[n-1].Time
	}
	inFirst, inLast := max(first, from), min(last, to-1)
	if inFirst > inLast {
		return
	}
	s.add(float64(n)*float64(inLast-inFirst+1)/float64(last-first+1), inLast-inFirst)
}

func (s *Spread) add(samples float64, span int64) {
	s.milliseconds += samples * float64(span)
	s.samples += samples
}

// spreadStripes is about how many stripes Epoch.Spread looks at.
const spreadStripes = 16

// Spread returns the spread of what was appended. Of many series it looks at some.
func (e *Epoch) Spread() time.Duration {
	stripes := *e.stripes.Load()
	var total Spread
	for i := 0; i < len(stripes); i += 1 + len(stripes)/spreadStripes {
		if stripes[i] != nil {
			stripes[i].addSpread(&total)
		}
	}
	return total.Average()
}

func (s *stripe) addSpread(to *Spread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.open {
		if c := &s.open[i]; c.count > 0 {
			to.add(float64(c.count), c.state.Time-c.minTime)
		}
	}
	for i, x := range s.extra {
		if n := len(x.samples); n > 0 && s.open[i].count == 0 {
			to.add(float64(n), max(0, x.samples[n-1].Time-x.samples[0].Time))
		}
	}
}
