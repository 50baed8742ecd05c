package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/promql"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/query"
)

// statusClientClosed answers a client that is gone; nginx made the code up.
const statusClientClosed = 499

// kind is an error's class, as the errorType of an answer names it.
type kind struct {
	name string
	code int
}

var (
	kindBadData   = kind{"bad_data", fasthttp.StatusBadRequest}
	kindExecution = kind{"execution", fasthttp.StatusUnprocessableEntity}
	kindCanceled  = kind{"canceled", statusClientClosed}
	// A client would ask again what is answered 503, and Grafana shows the reason
	// only with some codes.
	kindKilled      = kind{"canceled", fasthttp.StatusUnprocessableEntity}
	kindTimeout     = kind{"timeout", fasthttp.StatusServiceUnavailable}
	kindUnavailable = kind{"unavailable", fasthttp.StatusServiceUnavailable}
	kindInternal    = kind{"internal", fasthttp.StatusInternalServerError}
	kindNotFound    = kind{"not_found", fasthttp.StatusNotFound}
)

// failure is an error with its class.
type failure struct {
	kind kind
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func badData(err error) error { return &failure{kindBadData, err} }

func invalidParam(name string, err error) error {
	return badData(fmt.Errorf("invalid parameter %q: %w", name, err))
}

// ErrNotReady is what storage answers before it can be read.
var ErrNotReady = errors.New("the storage is not ready")

// ErrNotFound is what storage answers about something that does not exist.
var ErrNotFound = errors.New("not found")

// classify gives err its class, unless it has one: what the storage or the engine
// reports is a failed execution, if it is nothing more special.
func classify(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if _, ok := errors.AsType[*query.InvalidError](err); ok {
		return &failure{kindBadData, err}
	}
	_, canceled := errors.AsType[promql.ErrQueryCanceled](err)
	_, timedOut := errors.AsType[promql.ErrQueryTimeout](err)
	_, storage := errors.AsType[promql.ErrStorage](err)
	switch {
	case errors.Is(err, query.ErrKilled):
		return &failure{kindKilled, err}
	case canceled, errors.Is(err, context.Canceled):
		return &failure{kindCanceled, err}
	case timedOut, errors.Is(err, context.DeadlineExceeded):
		return &failure{kindTimeout, err}
	case errors.Is(err, query.ErrQueueFull), errors.Is(err, ErrNotReady):
		return &failure{kindUnavailable, err}
	case errors.Is(err, ErrNotFound):
		return &failure{kindNotFound, err}
	case storage:
		return &failure{kindInternal, err}
	default:
		return &failure{kindExecution, err}
	}
}

// invalidQuery says which parameter a query came in that cannot be run.
func invalidQuery(err error) error {
	if _, ok := errors.AsType[*query.InvalidError](err); ok {
		return invalidParam("query", err)
	}
	return err
}

func asLimit(err error) (*query.LimitError, bool) { return errors.AsType[*query.LimitError](err) }
