//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// client is that of all tests.
var client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

// endpoint is an HTTP server.
type endpoint struct {
	t   testing.TB
	url string
}

// reply is an HTTP response that was read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// want fails the test unless the reply has the status.
func (r reply) want(t testing.TB, what string, status int) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("%s: status %d, want %d: %.300s", what, r.status, status, r.body)
	}
	return r
}

const (
	formType    = "application/x-www-form-urlencoded"
	writeV1Type = "application/x-protobuf"
	writeV2Type = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// send makes a request and reads the response.
func send(method, url, contentType string, body []byte, headers ...string) (reply, error) {
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, fmt.Errorf("read response: %w", err)
	}
	return reply{response.StatusCode, response.Header, read}, nil
}

func (e endpoint) post(path, contentType string, body []byte, headers ...string) reply {
	e.t.Helper()
	r, err := send(http.MethodPost, e.url+path, contentType, body, headers...)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func (e endpoint) get(path string, headers ...string) reply {
	e.t.Helper()
	r, err := send(http.MethodGet, e.url+path, "", nil, headers...)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

// envelope is how the API answers.
type envelope struct {
	Status    string          `json:"status"`
	Data      json.RawMessage `json:"data"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
	Infos     []string        `json:"infos"`
}

func (r reply) envelope(t testing.TB) envelope {
	t.Helper()
	var e envelope
	if err := json.Unmarshal(r.body, &e); err != nil {
		t.Fatalf("the answer is not the API's: %v: %.300s", err, r.body)
	}
	return e
}

// ask sends a form to the API.
func (e endpoint) ask(path string, pairs ...string) reply {
	e.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return e.post(path, formType, []byte(form.Encode()))
}

// data asks and stores the data of the answer in v.
func (e endpoint) data(v any, path string, pairs ...string) {
	e.t.Helper()
	answer := e.ask(path, pairs...).want(e.t, path, 200).envelope(e.t)
	if answer.Status != "success" {
		e.t.Fatalf("%s %v: %s: %s", path, pairs, answer.ErrorType, answer.Error)
	}
	if err := json.Unmarshal(answer.Data, v); err != nil {
		e.t.Fatalf("%s: %v: %.300s", path, err, answer.Data)
	}
}

// encodeWrite is the body of a remote write 1.0 request.
func encodeWrite(all []prompb.TimeSeries) ([]byte, error) {
	raw, err := (&prompb.WriteRequest{Timeseries: all}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode write request: %w", err)
	}
	return snappy.Encode(nil, raw), nil
}

// write sends series by remote write 1.0.
func (e endpoint) write(all []prompb.TimeSeries) {
	e.t.Helper()
	body, err := encodeWrite(all)
	if err != nil {
		e.t.Fatal(err)
	}
	e.post("/api/v1/write", writeV1Type, body, "Content-Encoding", "snappy").want(e.t, "remote write", 204)
}

// labelsOf builds sorted labels from names and values.
func labelsOf(name string, pairs ...string) []prompb.Label {
	out := []prompb.Label{{Name: "__name__", Value: name}}
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func unmarshal(t testing.TB, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%v: %.300s", err, data)
	}
}
