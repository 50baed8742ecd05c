package api

import (
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/valyala/fasthttp"
)

// params are a request's parameters: those of a form in the body come before
// those of the URL.
type params struct {
	values url.Values
	// malformed is what was wrong with some of them; the others are there.
	malformed error
	// unreadable is why the body could not be read.
	unreadable error
}

func (p *params) get(name string) string { return p.values.Get(name) }

// wellFormed returns an error if a parameter was malformed, for endpoints where
// leaving one out would widen the question.
func (p *params) wellFormed() error {
	if p.malformed != nil {
		return badData(fmt.Errorf("error parsing form values: %w", p.malformed))
	}
	return nil
}

func (p *params) all(name string) []string { return p.values[name] }

// readParams reads the URL and, in a POST, a form of at most bodyMax bytes.
func readParams(rc *fasthttp.RequestCtx, bodyMax int) *params {
	p := &params{values: url.Values{}}
	if rc.IsPost() || rc.IsPut() {
		p.unreadable = p.addForm(rc, bodyMax)
	}
	inURL, err := url.ParseQuery(string(rc.URI().QueryString()))
	if p.malformed == nil {
		p.malformed = err
	}
	for name, values := range inURL {
		p.values[name] = append(p.values[name], values...)
	}
	return p
}

func (p *params) addForm(rc *fasthttp.RequestCtx, bodyMax int) error {
	kind, _, err := mime.ParseMediaType(string(rc.Request.Header.ContentType()))
	switch {
	case err != nil:
		return nil // no or no known content: there are no parameters in the body
	case kind == "application/x-www-form-urlencoded":
		body, err := readBody(rc, bodyMax)
		if err != nil {
			return err
		}
		inBody, err := url.ParseQuery(string(body))
		for name, values := range inBody {
			p.values[name] = values
		}
		p.malformed = err
	case kind == "multipart/form-data":
		form, err := rc.MultipartFormWithLimit(bodyMax)
		if err != nil {
			return err
		}
		for name, values := range form.Value {
			p.values[name] = append([]string(nil), values...)
		}
	}
	return nil
}

// readBody reads a body of at most max bytes, whether the server has read it or
// hands it over as a stream.
func readBody(rc *fasthttp.RequestCtx, max int) ([]byte, error) {
	if !rc.Request.IsBodyStream() {
		if body := rc.Request.Body(); len(body) <= max {
			return body, nil
		}
		return nil, tooLarge(max)
	}
	body, err := io.ReadAll(io.LimitReader(rc.RequestBodyStream(), int64(max)+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(body) > max {
		return nil, tooLarge(max)
	}
	return body, nil
}

func tooLarge(max int) error { return fmt.Errorf("the body is larger than %d bytes", max) }

// The times that stand for no bound. They are not the limits of time.Time, but
// those that Prometheus accepts by name.
var (
	timeMin = time.Unix(math.MinInt64/1000+62135596801, 0).UTC()
	timeMax = time.Unix(math.MaxInt64/1000-62135596801, 999999999).UTC()
)

// parseTime reads seconds, to the millisecond, or RFC 3339.
func parseTime(s string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		const secondsMax = math.MaxInt64 / 1000
		if !(math.Abs(seconds) <= secondsMax) {
			return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
		}
		whole, rest := math.Modf(seconds)
		rest = math.Round(rest*1000) / 1000
		return time.Unix(int64(whole), int64(rest*float64(time.Second))).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	// Years of more than four digits are not RFC 3339.
	switch s {
	case timeMin.Format(time.RFC3339Nano):
		return timeMin, nil
	case timeMax.Format(time.RFC3339Nano):
		return timeMax, nil
	}
	return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
}

// timeOr reads the parameter called name; absent, it is otherwise.
func (p *params) timeOr(name string, otherwise time.Time) (time.Time, error) {
	s := p.get(name)
	if s == "" {
		return otherwise, nil
	}
	t, err := parseTime(s)
	if err != nil {
		return t, invalidParam(name, fmt.Errorf("invalid time value for '%s': %w", name, err))
	}
	return t, nil
}

// milliseconds converts a time as the storage counts it, at the most to the ends
// of what it counts.
func milliseconds(t time.Time) int64 {
	const secondsMax = math.MaxInt64/1000 - 1
	switch seconds := t.Unix(); {
	case seconds > secondsMax:
		return math.MaxInt64
	case seconds < -secondsMax:
		return math.MinInt64
	default:
		return seconds*1000 + int64(t.Nanosecond())/int64(time.Millisecond)
	}
}

// parseDuration reads seconds or a duration as PromQL writes it.
func parseDuration(s string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		ns := seconds * float64(time.Second)
		// The float next to the largest int64 is 2^63, which is none; NaN passes
		// every comparison.
		if math.IsNaN(ns) || ns >= math.MaxInt64 || ns < math.MinInt64 {
			return 0, fmt.Errorf("cannot parse %q to a valid duration. It overflows int64", s)
		}
		return time.Duration(ns), nil
	}
	if d, err := model.ParseDuration(s); err == nil {
		return time.Duration(d), nil
	}
	return 0, fmt.Errorf("cannot parse %q to a valid duration", s)
}

// limit reads the parameter limit; 0 is none.
func (p *params) limit() (int, error) {
	s := p.get("limit")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return 0, invalidParam("limit", err)
	case n < 0:
		return 0, invalidParam("limit", errors.New("limit must be non-negative"))
	}
	return n, nil
}

// timeout reads the parameter timeout; 0 is none.
func (p *params) timeout() (time.Duration, error) {
	s := p.get("timeout")
	if s == "" {
		return 0, nil
	}
	d, err := parseDuration(s)
	switch {
	case err != nil:
		return 0, invalidParam("timeout", err)
	case d <= 0:
		return 0, invalidParam("timeout", fmt.Errorf("timeout must be positive, got %s", d))
	}
	return d, nil
}

// limitNumber reads a limit of the metadata endpoints, where less than nothing
// is none.
func (p *params) limitNumber(name string) (int, error) {
	s := p.get(name)
	if s == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, badData(fmt.Errorf("%s must be a number", name))
	}
	return n, nil
}
