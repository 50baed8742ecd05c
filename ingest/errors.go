package ingest

import "errors"

// ErrOverloaded means that a bound of admission is reached; the request should
// be sent again later. An Appender may return it, too.
var ErrOverloaded = errors.New("too much is being written, try again later")

// ErrThrottled means that the sender exceeds the rate that its tenant may write
// at; the request should be sent again later. An Appender may return it.
var ErrThrottled = errors.New("too much was written in a short time, try again later")

// ErrDenied means that the sender may not write what it writes, now or later. An
// Appender may return it.
var ErrDenied = errors.New("this may not be written")

// rejection is an error of the sender's making, with the status it deserves.
type rejection struct {
	status int
	err    error
}

func (r rejection) Error() string { return r.err.Error() }
func (r rejection) Unwrap() error { return r.err }
