package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client asks a server.
type Client struct {
	Server string // base URL, such as http://127.0.0.1:7480
	HTTP   *http.Client
	Header http.Header // sent with every request
}

// Question is a PromQL query and the time or times it is for. With a Step it
// is a range query from Start to End, without one an instant query at End.
type Question struct {
	Query      string
	Start, End time.Time
	Step       time.Duration
	Timeout    time.Duration // of the evaluation; 0 leaves it to the server
}

// Answer is what the server said.
type Answer struct {
	Raw      []byte // the reply as it came
	Kind     string // vector, matrix, scalar or string
	Series   []Series
	Text     string // of a string
	Warnings []string
	Infos    []string
}

// Series is one series of an answer with its samples in order of time.
type Series struct {
	Labels map[string]string
	Points []Point
}

// Point is a sample; Histogram is set for a native histogram.
type Point struct {
	Time      time.Time
	Value     float64
	Histogram *Histogram
}

// Histogram sums up a native histogram sample, in the server's notation.
type Histogram struct {
	Count string `json:"count"`
	Sum   string `json:"sum"`
}

// ServerError is an error that the server reported.
type ServerError struct {
	Status  int    // of HTTP
	Type    string // such as bad_data, execution or timeout
	Message string
}

// Error implements error.
func (e *ServerError) Error() string {
	if e.Type == "" {
		return fmt.Sprintf("the server answered %d: %s", e.Status, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Type, e.Message)
}

var errReply = errors.New("the server's reply is not that of a Prometheus API")

const replyBytesMax = 512 << 20

// Ask sends the question and reads the answer. An error that the server
// reports is a *ServerError.
func (c *Client) Ask(ctx context.Context, q Question) (Answer, error) {
	path, form := q.form()
	address := strings.TrimSuffix(c.Server, "/") + "/api/v1/" + path
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", c.Server, err)
	}
	for name, values := range c.Header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	reply, err := c.HTTP.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", c.Server, err)
	}
	defer reply.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(reply.Body, replyBytesMax+1))
	if err != nil {
		return Answer{}, fmt.Errorf("read the answer of %s: %w", c.Server, err)
	}
	if len(raw) > replyBytesMax {
		return Answer{}, fmt.Errorf("read the answer of %s: it is longer than %d MiB; ask for fewer series or a longer step", c.Server, replyBytesMax>>20)
	}
	return parseReply(reply.StatusCode, raw)
}

func (q Question) form() (path string, form url.Values) {
	form = url.Values{"query": {q.Query}}
	if q.Timeout > 0 {
		form.Set("timeout", seconds(q.Timeout.Seconds()))
	}
	if q.Step == 0 {
		form.Set("time", unixSeconds(q.End))
		return "query", form
	}
	form.Set("start", unixSeconds(q.Start))
	form.Set("end", unixSeconds(q.End))
	form.Set("step", seconds(q.Step.Seconds()))
	return "query_range", form
}

func unixSeconds(t time.Time) string { return seconds(float64(t.UnixMilli()) / 1000) }

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) }

// envelope is the frame of every reply of the API.
type envelope struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Infos     []string `json:"infos"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// parseReply reads a reply with the given HTTP status.
func parseReply(status int, raw []byte) (Answer, error) {
	var e envelope
	err := json.Unmarshal(raw, &e)
	switch {
	case err == nil && e.Status == "error":
		return Answer{}, &ServerError{Status: status, Type: e.ErrorType, Message: e.Error}
	case status != http.StatusOK:
		return Answer{}, &ServerError{Status: status, Message: firstLine(raw)}
	case err != nil:
		return Answer{}, fmt.Errorf("%w: %w", errReply, err)
	case e.Status != "success":
		return Answer{}, fmt.Errorf("%w: status %q", errReply, e.Status)
	}
	a := Answer{Raw: raw, Kind: e.Data.ResultType, Warnings: e.Warnings, Infos: e.Infos}
	if err := a.parseResult(e.Data.Result); err != nil {
		return Answer{}, fmt.Errorf("%w: %w", errReply, err)
	}
	return a, nil
}

func firstLine(text []byte) string {
	const shown = 200
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if len(line) > shown {
		line = line[:shown] + "..."
	}
	if line == "" {
		return "(nothing more)"
	}
	return line
}

func (a *Answer) parseResult(result json.RawMessage) error {
	switch a.Kind {
	case "scalar":
		var p floatPoint
		if err := json.Unmarshal(result, &p); err != nil {
			return err
		}
		a.Series = []Series{{Points: []Point{Point(p)}}}
	case "string":
		var pair [2]any
		if err := json.Unmarshal(result, &pair); err != nil {
			return err
		}
		text, ok := pair[1].(string)
		if !ok {
			return errors.New("a string result without a string")
		}
		a.Text = text
	case "vector", "matrix":
		var all []wireSeries
		if err := json.Unmarshal(result, &all); err != nil {
			return err
		}
		for _, s := range all {
			a.Series = append(a.Series, s.series())
		}
	default:
		return fmt.Errorf("unknown result type %q", a.Kind)
	}
	return nil
}

// wireSeries is a series of a vector or of a matrix.
type wireSeries struct {
	Metric     map[string]string `json:"metric"`
	Value      *floatPoint       `json:"value"`
	Histogram  *histogramPoint   `json:"histogram"`
	Values     []floatPoint      `json:"values"`
	Histograms []histogramPoint  `json:"histograms"`
}

func (w wireSeries) series() Series {
	s := Series{Labels: w.Metric}
	for _, p := range w.Values {
		s.Points = append(s.Points, Point(p))
	}
	for _, p := range w.Histograms {
		s.Points = append(s.Points, Point(p))
	}
	if w.Value != nil {
		s.Points = append(s.Points, Point(*w.Value))
	}
	if w.Histogram != nil {
		s.Points = append(s.Points, Point(*w.Histogram))
	}
	sortPoints(s.Points)
	return s
}

// floatPoint is [seconds, "value"].
type floatPoint Point

// UnmarshalJSON implements json.Unmarshaler.
func (p *floatPoint) UnmarshalJSON(text []byte) error {
	var at float64
	var value string
	if err := json.Unmarshal(text, &[2]any{&at, &value}); err != nil {
		return err
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Errorf("read a value: %w", err)
	}
	*p = floatPoint{Time: moment(at), Value: v}
	return nil
}

// histogramPoint is [seconds, {histogram}].
type histogramPoint Point

// UnmarshalJSON implements json.Unmarshaler.
func (p *histogramPoint) UnmarshalJSON(text []byte) error {
	var at float64
	var h Histogram
	if err := json.Unmarshal(text, &[2]any{&at, &h}); err != nil {
		return err
	}
	*p = histogramPoint{Time: moment(at), Histogram: &h}
	return nil
}
