package query

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/prometheus/prometheus/promql"
)

// ErrQueueFull means that as many queries as may wait are waiting already.
var ErrQueueFull = errors.New("too many queries: the queue is full, try again later")

// InvalidError is a query that cannot be run as it is written.
type InvalidError struct{ Err error }

// Error returns the reason.
func (e *InvalidError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *InvalidError) Unwrap() error { return e.Err }

// LimitError is a query that took more than it may.
type LimitError struct {
	// Limit names the limit in words, Max is its value.
	Limit string
	Max   int64
	// Subject says what reached it; it is empty where that is not known.
	Subject string
	// Err is how Prometheus's engine words it, if that has the limit too.
	Err error
}

// Error names the limit, its amount and the selector.
func (e *LimitError) Error() string {
	text := "the query needs more than " + grouped(e.Max) + " " + e.Limit
	if e.Subject != "" {
		text += ", reached at selector " + e.Subject
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *LimitError) Unwrap() error { return e.Err }

// grouped prints n with commas between thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// atPhase gives the end of ctx the error that the engine gives it, so that callers
// tell a timeout from a cancellation however it was reported. Other errors pass.
func atPhase(err error, phase string) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return promql.ErrQueryTimeout(phase)
	case errors.Is(err, context.Canceled):
		return promql.ErrQueryCanceled(phase)
	default:
		return err
	}
}

func invalidf(format string, args ...any) error {
	return &InvalidError{Err: fmt.Errorf(format, args...)}
}
