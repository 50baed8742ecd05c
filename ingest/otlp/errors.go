package otlp

import (
	"errors"
	"fmt"

	"github.com/varve-db/varve/series"
)

// What callers branch on. Either means that the request as a whole is bad and
// that nothing of the batch may be stored.
var (
	// ErrMalformed means that the body is not an ExportMetricsServiceRequest.
	ErrMalformed = errors.New("malformed OTLP metrics request")
	// ErrTooLarge means that decoding the body would take more memory than its
	// length can justify, or more than the decoder's limit.
	ErrTooLarge = errors.New("OTLP metrics request expands to too much data")
)

// The reasons for which data points are refused, beside those of package series.
const (
	// ReasonTemporality means a delta where none is taken, or neither a delta nor
	// a cumulative value.
	ReasonTemporality series.Reason = "unsupported_temporality"
	// ReasonUnnamable means that no metric or label name can be made of a name.
	ReasonUnnamable series.Reason = "unnamable"
	// ReasonNoData means a metric of a kind that is not known.
	ReasonNoData series.Reason = "unknown_metric_kind"
	// ReasonLateDelta means a delta that is older than what was added up.
	ReasonLateDelta series.Reason = "late_delta"
	// ReasonTooManyDeltas means that too many series of deltas are being added up.
	ReasonTooManyDeltas series.Reason = "too_many_delta_series"
)

func malformed(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
}

var errWireType = errors.New("a field of the wrong type")
