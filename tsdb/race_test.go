//go:build race

package tsdb

import "testing"

const raceEnabled = true

// Sequential skips a test of one goroutine, which the race detector would only
// make slow; make test runs it again without.
func Sequential(t *testing.T) {
	t.Helper()
	t.Skip("one goroutine: it runs without the race detector")
}
