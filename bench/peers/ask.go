package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/varve-db/varve/bench"
)

// asked is one server's account of one question.
type asked struct {
	Server   string     `json:"server"`
	Millis   []float64  `json:"milliseconds"` // of every request, in order
	Median   float64    `json:"median_ms"`
	P99      float64    `json:"p99_ms"` // the slowest, with less than a hundred requests
	CPU      float64    `json:"cpu_ms"` // the mean over the requests
	Bytes    int        `json:"reply_bytes"`
	Series   int        `json:"series"`
	Answer   comparison `json:"answer"` // against Prometheus's
	Error    string     `json:"error,omitempty"`
	cpuTotal time.Duration
}

// client asks for plain replies: decompression is no part of the measurement.
var client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4}}

// quietLimit bounds how long one waits for a server's garbage collector.
const quietLimit = 200 * time.Millisecond

// askAll asks the question of every server in turn, again and again. The first
// turn is not measured; its answers are compared.
func askAll(ctx context.Context, q question, servers []*running, o queryOptions, end time.Time) ([]asked, error) {
	results := make([]asked, len(servers))
	answers := make([]answer, len(servers))
	var turn time.Duration
	var reply bytes.Buffer
	for i, s := range servers {
		results[i].Server = s.name
		took, err := s.ask(ctx, q, end, &reply)
		turn += took
		if err == nil {
			answers[i], err = readAnswer(reply.Bytes(), q.ties)
		}
		if err != nil {
			results[i].Error = err.Error()
			continue
		}
		results[i].Bytes, results[i].Series = reply.Len(), answers[i].series()
	}
	compareAll(servers, results, answers)
	clear(answers)
	runtime.GC() // rather now than while a server is measured
	turns := min(o.repeats, max(o.repeatsMin, int(o.budget/max(turn, time.Microsecond))))
	for range turns {
		for i, s := range servers {
			if results[i].Error != "" {
				continue
			}
			if err := s.measure(ctx, q, end, &reply, &results[i]); err != nil {
				return nil, fmt.Errorf("ask %s %q: %w", s.name, q.query, err)
			}
		}
	}
	for i := range results {
		results[i].sum()
	}
	return results, ctx.Err()
}

// measure asks once and adds what that took to r.
func (s *running) measure(ctx context.Context, q question, end time.Time, reply *bytes.Buffer, r *asked) error {
	before, err := bench.CPUTimeOnceQuiet(s.process.pid(), quietLimit)
	if err != nil {
		return err
	}
	took, err := s.ask(ctx, q, end, reply)
	if err != nil {
		return err
	}
	after, err := bench.CPUTimeOnceQuiet(s.process.pid(), quietLimit)
	if err != nil {
		return err
	}
	r.Millis = append(r.Millis, took.Seconds()*1000)
	r.cpuTotal += after - before
	return nil
}

func (r *asked) sum() {
	if len(r.Millis) == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(r.Millis))
	r.Median = sorted[len(sorted)/2]
	r.P99 = sorted[(len(sorted)*99+99)/100-1]
	r.CPU = r.cpuTotal.Seconds() * 1000 / float64(len(sorted))
}

// ask sends the question and reads the whole reply.
func (s *running) ask(ctx context.Context, q question, end time.Time, reply *bytes.Buffer) (time.Duration, error) {
	request, err := s.request(ctx, q, end)
	if err != nil {
		return 0, err
	}
	reply.Reset()
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = reply.ReadFrom(response.Body)
	took := time.Since(began)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return took, fmt.Errorf("read the reply: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return took, fmt.Errorf("%s: %s", response.Status, tail(reply.Bytes()))
	}
	return took, nil
}

func (s *running) request(ctx context.Context, q question, end time.Time) (*http.Request, error) {
	seconds := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64) }
	form := url.Values{}
	for name, values := range s.params {
		form[name] = values
	}
	if q.kind == labelValues {
		form.Set("match[]", q.query)
		form.Set("start", seconds(end.Add(-q.span)))
		form.Set("end", seconds(end))
		return http.NewRequestWithContext(ctx, http.MethodGet, s.process.base+"/api/v1/label/pod/values?"+form.Encode(), nil)
	}
	form.Set("query", q.query)
	path := "/api/v1/query"
	if q.kind == rangeQuery {
		path = "/api/v1/query_range"
		form.Set("start", seconds(end.Add(-q.span)))
		form.Set("end", seconds(end))
		form.Set("step", strconv.FormatFloat(q.step.Seconds(), 'f', -1, 64))
	} else {
		form.Set("time", seconds(end))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.process.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request, nil
}
