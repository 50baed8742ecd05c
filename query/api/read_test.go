package api

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// readRequest encodes a request for the samples of one selector from 0 to 600 s.
func readRequest(t testing.TB, kinds []prompb.ReadRequest_ResponseType, matchers ...*prompb.LabelMatcher) string {
	t.Helper()
	q := &prompb.Query{StartTimestampMs: 0, EndTimestampMs: 600_000, Matchers: matchers,
		Hints: &prompb.ReadHints{StartMs: 0, EndMs: 600_000}}
	raw, err := (&prompb.ReadRequest{Queries: []*prompb.Query{q}, AcceptedResponseTypes: kinds}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(snappy.Encode(nil, raw))
}

func equals(name, value string) *prompb.LabelMatcher {
	return &prompb.LabelMatcher{Type: prompb.LabelMatcher_EQ, Name: name, Value: value}
}

func read(t testing.TB, s *server, body string) reply {
	return s.do(t, "POST", "/api/v1/read", body, "Content-Type", "application/x-protobuf", "Content-Encoding", "snappy")
}

// flat is everything in a set: labels and samples in text.
func flat(t testing.TB, set storage.SeriesSet) (list []string) {
	t.Helper()
	for set.Next() {
		var text strings.Builder
		text.WriteString(set.At().Labels().String())
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			switch kind {
			case chunkenc.ValFloat:
				at, v := it.At()
				text.Write(appendValue(appendTime([]byte(" "), at), v))
			default:
				at, h := it.AtFloatHistogram(nil)
				text.Write(appendTime([]byte(" "), at))
				text.WriteString(h.String())
			}
		}
		if it.Err() != nil {
			t.Fatal(it.Err())
		}
		list = append(list, text.String())
	}
	if set.Err() != nil {
		t.Fatal(set.Err())
	}
	slices.Sort(list)
	return list
}

// allFrames reads a stream of frames the way a client does.
func allFrames(t testing.TB, body string) (list []prompb.ChunkedReadResponse) {
	t.Helper()
	for len(body) > 0 {
		size, width := binary.Uvarint([]byte(body))
		if width <= 0 || uint64(len(body)) < uint64(width)+4+size {
			t.Fatalf("a frame of %d bytes in %d", size, len(body))
		}
		sum := binary.BigEndian.Uint32([]byte(body[width:]))
		message := []byte(body[width+4 : width+4+int(size)])
		if crc32.Checksum(message, crc32.MakeTable(crc32.Castagnoli)) != sum {
			t.Fatal("a frame's checksum is wrong")
		}
		var response prompb.ChunkedReadResponse
		if err := response.Unmarshal(message); err != nil {
			t.Fatal(err)
		}
		list = append(list, response)
		body = body[width+4+int(size):]
	}
	return list
}

// framed are the series of a stream of frames as a set.
func framed(t testing.TB, body string) storage.SeriesSet {
	t.Helper()
	var sets []storage.Series
	builder := labels.NewScratchBuilder(0)
	for _, response := range allFrames(t, body) {
		if len(response.ChunkedSeries) != 1 {
			t.Fatalf("%d series in a frame", len(response.ChunkedSeries))
		}
		one := response.ChunkedSeries[0]
		builder.Reset()
		for _, l := range one.Labels {
			builder.Add(l.Name, l.Value)
		}
		set := builder.Labels()
		var metas []chunks.Meta
		for _, c := range one.Chunks {
			chunk, err := chunkenc.FromData(chunkenc.Encoding(c.Type), c.Data)
			if err != nil {
				t.Fatal(err)
			}
			metas = append(metas, chunks.Meta{MinTime: c.MinTimeMs, MaxTime: c.MaxTimeMs, Chunk: chunk})
		}
		chunked := storage.NewSeriesSetFromChunkSeriesSet(&oneChunkSeries{ChunkSeriesEntry: storage.ChunkSeriesEntry{
			Lset: set, ChunkIteratorFn: func(chunks.Iterator) chunks.Iterator { return storage.NewListChunkSeriesIterator(metas...) }}})
		chunked.Next()
		sets = append(sets, chunked.At())
	}
	return &seriesList{list: sets}
}

type oneChunkSeries struct {
	storage.ChunkSeriesEntry
	given bool
}

func (o *oneChunkSeries) Next() bool                        { first := !o.given; o.given = true; return first }
func (o *oneChunkSeries) At() storage.ChunkSeries           { return &o.ChunkSeriesEntry }
func (o *oneChunkSeries) Err() error                        { return nil }
func (o *oneChunkSeries) Warnings() annotations.Annotations { return nil }

type seriesList struct {
	list []storage.Series
	at   int
}

func (s *seriesList) Next() bool                        { s.at++; return s.at <= len(s.list) }
func (s *seriesList) At() storage.Series                { return s.list[s.at-1] }
func (s *seriesList) Err() error                        { return nil }
func (s *seriesList) Warnings() annotations.Annotations { return nil }

var streamed = []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS}

func matching(name, pattern string) *prompb.LabelMatcher {
	return &prompb.LabelMatcher{Type: prompb.LabelMatcher_RE, Name: name, Value: pattern}
}

// TestReadStreams compares what a stream holds with the storage itself.
func TestReadStreams(t *testing.T) {
	deps := depsOfTestStorage(t)
	unchunked := deps
	unchunked.Chunks = nil
	q, err := deps.Queryable.Querier(0, 600_000)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	want := flat(t, q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", "up|http.*|special.*|nh.*")))
	if len(want) < 12 {
		t.Fatalf("%d series", len(want))
	}
	for name, c := range map[string]struct {
		deps  Deps
		frame int
	}{"chunks": {deps, 0}, "small frames": {deps, 1}, "from samples": {unchunked, 0}} {
		s := serve(t, c.deps, Options{ReadFrameBytes: c.frame}, false)
		got := read(t, s, readRequest(t, streamed, matching("__name__", "up|http.*|special.*|nh.*")))
		if list := flat(t, framed(t, got.body)); got.code != 200 || !slices.Equal(list, want) {
			t.Errorf("%s: %d, %d series that differ from %d", name, got.code, len(list), len(want))
		}
	}
}

// TestReadGolden compares whole answers with those of Prometheus 3.16.
func TestReadGolden(t *testing.T) {
	s := serve(t, depsOfTestStorage(t), Options{}, false)
	golden := func(name string) string {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	matcher := matching("__name__", "up|mixed|nh_seconds|nh_custom")
	got := read(t, s, readRequest(t, streamed, matcher))
	if got.code != 200 || got.header.Get("Content-Type") != "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse" {
		t.Fatalf("%d %v", got.code, got.header)
	}
	if got.body != golden("read_frames.hex") {
		t.Errorf("frames differ:\n%x", got.body)
	}
	got = read(t, s, readRequest(t, nil, matcher))
	raw, err := snappy.Decode(nil, []byte(got.body))
	if err != nil || string(raw) != golden("read_samples.hex") {
		t.Errorf("samples differ, %v:\n%x", err, raw)
	}
}

func TestReadSamples(t *testing.T) {
	s := serve(t, depsOfTestStorage(t), Options{ExternalLabels: map[string]string{"cluster": "c1", "job": "external"}}, false)
	got := read(t, s, readRequest(t, nil, equals("__name__", "up"), equals("cluster", "c1")))
	if got.code != 200 || got.header.Get("Content-Type") != "application/x-protobuf" || got.header.Get("Content-Encoding") != "snappy" {
		t.Fatalf("%d %v %s", got.code, got.header, got.body)
	}
	raw, err := snappy.Decode(nil, []byte(got.body))
	if err != nil {
		t.Fatal(err)
	}
	var response prompb.ReadResponse
	if err := response.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	list := response.Results[0].Timeseries
	if len(list) != 2 || len(list[0].Samples) != 41 {
		t.Fatalf("%v", list)
	}
	var names []string
	for _, l := range list[0].Labels {
		names = append(names, l.Name+"="+l.Value)
	}
	if text := strings.Join(names, ","); text != "__name__=up,cluster=c1,instance=localhost:9090,job=prometheus" {
		t.Errorf("%s", text)
	}
}

func TestReadRefusals(t *testing.T) {
	s := serve(t, depsOfTestStorage(t), Options{ReadSamplesMax: 50}, false)
	bomb := string([]byte{0xff, 0xff, 0xff, 0xff, 0x07, 0})
	for name, body := range map[string]string{
		"no snappy":     "\xff\xff",
		"too large":     bomb,
		"no protobuf":   string(snappy.Encode(nil, []byte{0xff, 0xff, 0xff})),
		"unknown kind":  readRequest(t, []prompb.ReadRequest_ResponseType{7}, equals("a", "b")),
		"matcher type":  readRequest(t, nil, &prompb.LabelMatcher{Type: 9, Name: "a", Value: "b"}),
		"regexp":        readRequest(t, nil, &prompb.LabelMatcher{Type: prompb.LabelMatcher_RE, Name: "a", Value: "("}),
		"chunks regexp": readRequest(t, []prompb.ReadRequest_ResponseType{1}, &prompb.LabelMatcher{Type: prompb.LabelMatcher_RE, Name: "a", Value: "("}),
		"samples":       readRequest(t, nil, equals("__name__", "up")),
	} {
		if got := read(t, s, body); got.code != 400 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d %s", name, got.code, got.body)
		}
	}
	if got := read(t, s, readRequest(t, nil, equals("instance", "localhost:9090"))); got.code != 200 {
		t.Errorf("41 samples: %d %s", got.code, got.body)
	}
}

func TestNewerChunksAreMadePortable(t *testing.T) {
	chunk := chunkenc.NewXOR2Chunk()
	app, err := chunk.Appender()
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(100) {
		app.Append(i*1000-500, i*1000, math.Sqrt(float64(i)))
	}
	got, err := appendPortable(nil, chunks.Meta{MinTime: 0, MaxTime: 99_000, Chunk: chunk})
	if err != nil || len(got) != 1 || got[0].Type != prompb.Chunk_XOR || got[0].MaxTimeMs != 99_000 {
		t.Fatalf("%v, %v", got, err)
	}
	plain, err := chunkenc.FromData(chunkenc.EncXOR, got[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	it := plain.Iterator(nil)
	for i := range int64(100) {
		it.Next()
		if at, v := it.At(); at != i*1000 || v != math.Sqrt(float64(i)) {
			t.Fatalf("sample %d: %d %g", i, at, v)
		}
	}
	if _, err := appendPortable(nil, chunks.Meta{}); err == nil {
		t.Error("a chunk that is not there passes")
	}
}

func FuzzRead(f *testing.F) {
	raw, _ := snappy.Decode(nil, []byte(readRequest(f, []prompb.ReadRequest_ResponseType{1, 0}, equals("__name__", "up"))))
	f.Add(raw)
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0x00, 0x10, 0x01})
	s := serve(f, depsOfTestStorage(f), Options{}, false)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got := read(t, s, string(snappy.Encode(nil, raw))); got.code >= 500 && got.code != 503 {
			t.Errorf("%d %s", got.code, clip(got.body))
		}
	})
}

func TestFederate(t *testing.T) {
	deps := depsOfTestStorage(t)
	s := serve(t, deps, Options{ExternalLabels: map[string]string{"cluster": "c1", "job": "external"}}, false)
	got := s.get(t, "/federate?match[]="+url.QueryEscape(`{job=~"node|api",__name__=~"up|nh.*"}`))
	want := `# TYPE nh_custom histogram
nh_custom_bucket{job="api",cluster="c1",instance="",le="5.0"} 1 600000
nh_custom_bucket{job="api",cluster="c1",instance="",le="10.0"} 3 600000
nh_custom_bucket{job="api",cluster="c1",instance="",le="+Inf"} 6 600000
nh_custom_sum{job="api",cluster="c1",instance=""} 1 600000
nh_custom_count{job="api",cluster="c1",instance=""} 6 600000
# TYPE up untyped
up{instance="localhost:9100",job="node",cluster="c1"} 0 600000
`
	if got.code != 200 || strings.ReplaceAll(got.body, `.0"`, `"`) != strings.ReplaceAll(want, `.0"`, `"`) {
		t.Errorf("%d\n%s", got.code, got.body)
	}
	proto := s.do(t, http.MethodGet, "/federate?match[]=nh_seconds", "", "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	if proto.code != 200 || !strings.Contains(proto.header.Get("Content-Type"), "delimited") || !bytes.Contains([]byte(proto.body), []byte("nh_seconds")) {
		t.Errorf("%d %v, %d bytes", proto.code, proto.header, len(proto.body))
	}
}
