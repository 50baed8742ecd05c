package remotewrite

import (
	"errors"
	"fmt"
)

// What callers branch on. Either means that the request as a whole is bad and
// that nothing of the batch may be stored.
var (
	// ErrMalformed means that the body is not the protobuf message it should be.
	ErrMalformed = errors.New("malformed remote write request")
	// ErrTooLarge means that decoding the body would take more memory than its
	// length can justify, or more than the decoder's limit.
	ErrTooLarge = errors.New("remote write request expands to too much data")
)

func malformed(at int, what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrMalformed, what, at)
}
