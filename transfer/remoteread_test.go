package transfer

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
)

// readServer answers remote reads with a body.
func readServer(t *testing.T, contentType string, status int, body []byte) Source {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "me" {
			t.Errorf("headers %v", r.Header)
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		w.Write(body)
	}))
	t.Cleanup(server.Close)
	s, err := OpenRemoteRead(server.URL, server.Client(), http.Header{"Authorization": {"me"}}, Filter{Start: time.UnixMilli(1000), End: time.UnixMilli(2000)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAnswersOfOldServers reads samples that come in one message.
func TestAnswersOfOldServers(t *testing.T) {
	of := []prompb.Label{{Name: "__name__", Value: "a"}}
	raw, err := (&prompb.ReadResponse{Results: []*prompb.QueryResult{{Timeseries: []*prompb.TimeSeries{
		{Labels: of, Samples: []prompb.Sample{{Timestamp: 999, Value: 1}, {Timestamp: 1000, Value: 2}, {Timestamp: 2001, Value: 3}}},
		{Labels: of, Histograms: []prompb.Histogram{
			prompb.FromIntHistogram(1500, tsdbutil.GenerateTestHistogram(1)), prompb.FromFloatHistogram(1600, tsdbutil.GenerateTestFloatHistogram(1)),
		}},
		{Labels: []prompb.Label{{Name: "b", Value: "c"}}, Samples: []prompb.Sample{{Timestamp: 1000}}},
	}}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got := all(t, readServer(t, "application/x-protobuf", 200, snappy.Encode(nil, raw)))
	if len(got) != 4 || !got[`{__name__="a"} 1000 start=0 4000000000000000`] || !got["lost 1 no_metric_name"] {
		t.Errorf("got %v", got)
	}
}

const streamed = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"

func frame(message []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(message)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(message, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, message...)
}

func TestBrokenAnswers(t *testing.T) {
	whole := frame([]byte("\x0a\x00"))
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-1]++
	badChunk, err := (&prompb.ChunkedReadResponse{ChunkedSeries: []*prompb.ChunkedSeries{{Chunks: []prompb.Chunk{{Type: 99}}}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		contentType string
		status      int
		body        []byte
		want        string
	}{
		{streamed, 200, whole[:len(whole)-1], "cut short"},
		{streamed, 200, damaged, "damaged"},
		{streamed, 200, binary.AppendUvarint(nil, 1<<40), "too long"},
		{streamed, 200, frame([]byte("\xff")), "EOF"},
		{streamed, 200, frame(badChunk), "encoding"},
		{"application/x-protobuf", 200, []byte("\xff\xff\xff\xff\x0f"), "too long"},
		{"application/x-protobuf", 200, nil, "corrupt"},
		{"text/plain", 422, []byte("no"), "422 Unprocessable Entity: no"},
	} {
		s := readServer(t, c.contentType, c.status, c.body)
		parts, err := s.Parts(t.Context())
		if err != nil || len(parts) != 1 {
			t.Fatalf("parts %v, %v", parts, err)
		}
		if err := s.Read(t.Context(), parts[0], collected{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s", c.body, err, c.want)
		}
	}
	if _, err := OpenRemoteRead("x", nil, nil, Filter{}); err == nil {
		t.Error("a read without bounds was accepted")
	}
}

func TestDaysCoverARange(t *testing.T) {
	for _, c := range [][2]int64{{0, 0}, {-5, 5}, {1, 3 * dayMilliseconds}, {dayMilliseconds, 2*dayMilliseconds - 1}} {
		next := c[0]
		for _, d := range daysOf(c[0], c[1]) {
			if d.from != next || d.to < d.from || mod(d.to+1, dayMilliseconds) != 0 && d.to != c[1] {
				t.Errorf("%v: got %+v", c, d)
			}
			next = d.to + 1
		}
		if next != c[1]+1 {
			t.Errorf("%v: it ends at %d", c, next)
		}
	}
}

// FuzzReadFrames reads any bytes as a streamed answer; what comes of it is an
// error or samples within the bounds.
func FuzzReadFrames(f *testing.F) {
	f.Add(frame([]byte("\x0a\x00")))
	message, err := (&prompb.ChunkedReadResponse{ChunkedSeries: []*prompb.ChunkedSeries{{
		Labels: []prompb.Label{{Name: "__name__", Value: "a"}},
		Chunks: []prompb.Chunk{{Type: prompb.Chunk_XOR, Data: []byte{0, 1, 0xd0, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0}}},
	}}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame(message))
	f.Fuzz(func(t *testing.T, b []byte) {
		pack := &packer{to: collected{}}
		if err := readFrames(bytes.NewReader(b), Part{from: 0, to: 1 << 40}, pack); err != nil {
			return
		}
		for _, at := range pack.batch.Timestamps {
			if at < 0 || at > 1<<40 {
				t.Fatalf("a sample at %d", at)
			}
		}
	})
}
