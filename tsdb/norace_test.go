//go:build !race

package tsdb

import "testing"

const raceEnabled = false

// Sequential does nothing: see race_test.go.
func Sequential(*testing.T) {}
