package influx

import (
	"errors"
	"fmt"
	"math"
)

// ErrPrecision means that a precision is none that the protocol knows.
var ErrPrecision = errors.New("unknown precision")

// Precision is the unit of timestamps. The zero value is a nanosecond.
type Precision struct {
	// One of them is above 1, or both are 0: a unit is a part of a millisecond or
	// some of them.
	perMilli, millis int64
}

// ParsePrecision returns the precision with that name; no name is nanoseconds.
func ParsePrecision(name string) (Precision, error) {
	const second = 1000
	switch name {
	case "", "ns", "n":
		return Precision{}, nil
	case "us", "u", "µs", "µ":
		return Precision{perMilli: 1000}, nil
	case "ms":
		return Precision{millis: 1}, nil
	case "s":
		return Precision{millis: second}, nil
	case "m":
		return Precision{millis: 60 * second}, nil
	case "h":
		return Precision{millis: 3600 * second}, nil
	}
	return Precision{}, fmt.Errorf("%w %q: use ns, us, ms, s, m or h", ErrPrecision, name)
}

// toMillis converts t units since 1970, rounding down. It reports false for what
// milliseconds cannot hold.
func (p Precision) toMillis(t int64) (int64, bool) {
	if p.millis > 0 {
		limit := math.MaxInt64 / p.millis
		return t * p.millis, t <= limit && t >= -limit
	}
	per := p.perMilli
	if per == 0 {
		per = 1e6
	}
	ms := t / per
	if t%per < 0 {
		ms--
	}
	return ms, true
}

// round rounds ms, a time in milliseconds, down to the unit.
func (p Precision) round(ms int64) int64 {
	if p.millis > 1 {
		ms -= ms % p.millis
	}
	return ms
}
