//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// record is one series with its samples in order of time.
type record struct {
	labels     []prompb.Label
	samples    []prompb.Sample
	histograms []prompb.Histogram
}

// recording is the contents of a database, by the series' names.
type recording map[string]*record

func (r recording) samples() int {
	n := 0
	for _, s := range r {
		n += len(s.samples) + len(s.histograms)
	}
	return n
}

// add appends samples to a series.
func (r recording) add(labels []prompb.Label, samples []prompb.Sample, histograms []prompb.Histogram) {
	if len(samples)+len(histograms) == 0 {
		return
	}
	name := nameOf(labels)
	s := r[name]
	if s == nil {
		s = &record{labels: labels}
		r[name] = s
	}
	s.samples = append(s.samples, samples...)
	s.histograms = append(s.histograms, histograms...)
}

// nameOf writes labels in their order.
func nameOf(labels []prompb.Label) string {
	var b strings.Builder
	for _, l := range labels {
		fmt.Fprintf(&b, "%s=%q ", l.Name, l.Value)
	}
	return strings.TrimSpace(b.String())
}

// everything matches every series; all of them have a metric name.
var everything = []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_NEQ, Name: "__name__", Value: ""}}

// equals matches the series whose label has the value.
func equals(name, value string) []*prompb.LabelMatcher {
	return []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_EQ, Name: name, Value: value}}
}

// span is a range of time in milliseconds, both ends included.
type span struct{ from, to int64 }

// slices cuts a span into minutes, so that no answer is large.
func (s span) slices() []span {
	const minute = 60_000
	var out []span
	for from := s.from; from <= s.to; from += minute {
		out = append(out, span{from, min(from+minute-1, s.to)})
	}
	return out
}

// read fetches all samples that matchers select in a span, by remote read.
func (e endpoint) read(within span, matchers []*prompb.LabelMatcher) recording {
	e.t.Helper()
	out := recording{}
	for _, s := range within.slices() {
		body := e.remoteRead(s, matchers, prompb.ReadRequest_SAMPLES)
		raw, err := snappy.Decode(nil, body)
		if err != nil {
			e.t.Fatalf("remote read: %v", err)
		}
		var response prompb.ReadResponse
		if err := response.Unmarshal(raw); err != nil {
			e.t.Fatalf("remote read: %v", err)
		}
		for _, result := range response.Results {
			for _, series := range result.Timeseries {
				out.add(series.Labels, series.Samples, series.Histograms)
			}
		}
	}
	return out
}

func (e endpoint) remoteRead(s span, matchers []*prompb.LabelMatcher, kind prompb.ReadRequest_ResponseType) []byte {
	e.t.Helper()
	raw, err := (&prompb.ReadRequest{
		Queries:               []*prompb.Query{{StartTimestampMs: s.from, EndTimestampMs: s.to, Matchers: matchers}},
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{kind},
	}).Marshal()
	if err != nil {
		e.t.Fatal(err)
	}
	return e.post("/api/v1/read", writeV1Type, snappy.Encode(nil, raw),
		"Content-Encoding", "snappy", "X-Prometheus-Remote-Read-Version", "0.1.0").want(e.t, "remote read", 200).body
}

// readChunks fetches float samples as streamed chunks.
func (e endpoint) readChunks(within span, matchers []*prompb.LabelMatcher) recording {
	e.t.Helper()
	out := recording{}
	for _, s := range within.slices() {
		frames := bufio.NewReader(bytes.NewReader(e.remoteRead(s, matchers, prompb.ReadRequest_STREAMED_XOR_CHUNKS)))
		for {
			frame, err := nextFrame(frames)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				e.t.Fatalf("streamed remote read: %v", err)
			}
			for _, series := range frame.ChunkedSeries {
				samples, err := decodeChunks(series.Chunks, s)
				if err != nil {
					e.t.Fatalf("streamed remote read of %s: %v", nameOf(series.Labels), err)
				}
				out.add(series.Labels, samples, nil)
			}
		}
	}
	return out
}

// nextFrame reads one frame: its length as a varint, its checksum, a message.
func nextFrame(r *bufio.Reader) (*prompb.ChunkedReadResponse, error) {
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	const frameBytesMax = 64 << 20
	if size > frameBytesMax {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	rest := make([]byte, 4+size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, fmt.Errorf("a frame is cut off: %w", io.ErrUnexpectedEOF)
	}
	sum, message := binary.BigEndian.Uint32(rest), rest[4:]
	if sum != crc32.Checksum(message, crc32.MakeTable(crc32.Castagnoli)) {
		return nil, errors.New("a frame's checksum is wrong")
	}
	frame := &prompb.ChunkedReadResponse{}
	return frame, frame.Unmarshal(message)
}

// decodeChunks returns the samples of chunks that are within a span: chunks may
// reach beyond it.
func decodeChunks(chunks []prompb.Chunk, within span) ([]prompb.Sample, error) {
	var out []prompb.Sample
	for _, c := range chunks {
		if c.Type != prompb.Chunk_XOR {
			return nil, fmt.Errorf("a chunk of type %v", c.Type)
		}
		chunk, err := chunkenc.FromData(chunkenc.EncXOR, c.Data)
		if err != nil {
			return nil, err
		}
		it := chunk.Iterator(nil)
		for it.Next() != chunkenc.ValNone {
			if t, v := it.At(); t >= within.from && t <= within.to {
				out = append(out, prompb.Sample{Timestamp: t, Value: v})
			}
		}
		if it.Err() != nil {
			return nil, it.Err()
		}
	}
	return out, nil
}

// differences lists what got has not, or has too much, or otherwise than want,
// to the bit; at most a few, and how many there are.
func differences(want, got recording) []string {
	var d differ
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] == nil {
			d.add("%s is missing with %d samples", name, len(want[name].samples)+len(want[name].histograms))
			continue
		}
		d.samples(name, want[name].samples, got[name].samples)
		d.histograms(name, want[name].histograms, got[name].histograms)
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if want[name] == nil {
			d.add("%s is there and should not be, with %d samples", name, len(got[name].samples)+len(got[name].histograms))
		}
	}
	if d.more > 0 {
		d.list = append(d.list, fmt.Sprintf("and %d more", d.more))
	}
	return d.list
}

type differ struct {
	list []string
	more int
}

func (d *differ) add(format string, args ...any) {
	const shown = 15
	if len(d.list) == shown {
		d.more++
		return
	}
	d.list = append(d.list, fmt.Sprintf(format, args...))
}

func (d *differ) samples(name string, want, got []prompb.Sample) {
	for len(want)+len(got) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0].Timestamp < got[0].Timestamp:
			d.add("%s: %v at %d is missing", name, want[0].Value, want[0].Timestamp)
			want = want[1:]
		case len(want) == 0 || got[0].Timestamp < want[0].Timestamp:
			d.add("%s: %v at %d is there and should not be", name, got[0].Value, got[0].Timestamp)
			got = got[1:]
		default:
			if w, g := math.Float64bits(want[0].Value), math.Float64bits(got[0].Value); w != g {
				d.add("%s: at %d are the bits %x, not %x", name, want[0].Timestamp, g, w)
			}
			want, got = want[1:], got[1:]
		}
	}
}

func (d *differ) histograms(name string, want, got []prompb.Histogram) {
	if len(want) != len(got) {
		d.add("%s: %d histograms, not %d", name, len(got), len(want))
		return
	}
	for i := range want {
		if !slices.Equal(encoded(want[i]), encoded(got[i])) {
			d.add("%s: the histogram is %s, not %s", name, got[i].String(), want[i].String())
		}
	}
}

// encoded returns the bytes of a histogram. Whether a counter was reset before
// it is not part of it: that is found anew whenever it is read.
func encoded(h prompb.Histogram) []byte {
	if h.ResetHint != prompb.Histogram_GAUGE {
		h.ResetHint = prompb.Histogram_UNKNOWN
	}
	raw, err := h.Marshal()
	if err != nil {
		panic(err) // it was decoded before
	}
	return raw
}

// wantSame fails the test if two recordings differ.
func wantSame(t testing.TB, what string, want, got recording) {
	t.Helper()
	if list := differences(want, got); len(list) > 0 {
		t.Errorf("%s: %d differences or more:\n  %s", what, len(list), strings.Join(list, "\n  "))
	}
}
