package retention

import "time"

// A wall clock can be wrong: a machine boots with a dead battery, a time server
// lies, somebody types a wrong year. Whatever a wrong clock says, data must not
// be deleted for it. Two things bear witness against a wall clock:
//
//   - the data: when the process starts, the newest partition tells about when
//     the last samples came. A wall clock far ahead of it may be right (the node
//     was off for a while) or wrong;
//   - the monotonic clock: while the process runs, the wall clock must not gain
//     on it.
//
// A wall clock that is ahead of what the witnesses allow is not believed until
// it has been steady for settleAfter. Until then time goes on from what was
// believed before, so retention is late by a day at most after a long pause,
// and an operator has a day to mend a wrong clock before it costs anything.
// A clock that is behind keeps more than it should, which harms nobody: it is
// believed at once.
const (
	// aheadMax is how far the wall clock may be ahead of the data at the start.
	aheadMax = 24 * time.Hour
	// driftMax is how much the wall clock may gain on the monotonic clock
	// between two steps.
	driftMax = time.Hour
	// settleAfter is how long a wall clock that jumped ahead must be steady.
	settleAfter = 24 * time.Hour
)

// believedClock turns readings of the wall clock into a time that retention may
// act upon.
type believedClock struct {
	started  bool
	believed time.Time     // what was returned last
	at       time.Duration // the monotonic clock then

	doubted   bool
	doubtFrom time.Time     // the first reading of the wall clock that was not believed
	doubtAt   time.Duration // the monotonic clock then
}

// read returns the time to act upon. The monotonic clock is elapsed, and the
// data reach to newest; without data newest is the zero time.
func (c *believedClock) read(wall time.Time, elapsed time.Duration, newest time.Time) time.Time {
	expected := wall
	switch {
	case c.started:
		expected = c.believed.Add(elapsed - c.at).Add(driftMax)
	case !newest.IsZero():
		expected = newest.Add(aheadMax)
	}
	if !wall.After(expected) || c.settled(wall, elapsed) {
		c.doubted = false
		return c.set(wall, elapsed)
	}
	if c.started {
		expected = expected.Add(-driftMax)
	}
	return c.set(expected, elapsed)
}

func (c *believedClock) set(t time.Time, elapsed time.Duration) time.Time {
	c.started, c.believed, c.at = true, t, elapsed
	return t
}

// settled reports whether the wall clock, which is ahead, has kept pace with
// the monotonic clock for long enough since it was first doubted.
func (c *believedClock) settled(wall time.Time, elapsed time.Duration) bool {
	pace := c.doubtFrom.Add(elapsed - c.doubtAt)
	if !c.doubted || wall.Sub(pace).Abs() > driftMax {
		c.doubted, c.doubtFrom, c.doubtAt = true, wall, elapsed
		return false
	}
	return elapsed-c.doubtAt >= settleAfter
}
