package transfer

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/ingest"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/query/api"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb"
)

// midnight is the time of the nodes in these tests, and the end of the data.
var midnight = time.Date(2025, 6, 5, 0, 0, 0, 0, time.UTC)

// node is a server put together in the test's process.
type node struct {
	url string
	db  *tsdb.DB
}

func newNode(t *testing.T) *node {
	t.Helper()
	now := func() time.Time { return midnight }
	db, err := tsdb.Open(context.Background(), memkv.New(memkv.Options{}), tsdb.Options{Now: now, Retention: 1000 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	writes := ingest.New(db, ingest.Options{Now: now})
	reads := api.New(api.Deps{
		Engine: query.New(query.Options{}), Queryable: query.Local(db, series.DefaultTenant), Chunks: db.ChunkQueryable(series.DefaultTenant), Now: now,
	}, api.Options{ReadFrameBytes: 2000})
	s := &fasthttp.Server{Handler: func(rc *fasthttp.RequestCtx) {
		if string(rc.Path()) == "/api/v1/write" {
			writes.Handle(rc)
			return
		}
		for _, r := range reads.Routes() {
			if r.Matches(string(rc.Path())) {
				r.Handle(rc)
				return
			}
		}
		rc.Error("no such path", fasthttp.StatusNotFound)
	}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	t.Cleanup(func() {
		reads.Close()
		http.DefaultClient.CloseIdleConnections()
		_ = s.Shutdown()
		<-served
		_ = db.Close()
	})
	return &node{url: "http://" + listener.Addr().String(), db: db}
}

func (n *node) target() *Target { return &Target{URL: n.url, HTTP: http.DefaultClient} }

// contents reads what the node stores, start timestamps included.
func (n *node) contents(t *testing.T) collected {
	t.Helper()
	q, err := n.db.Querier(series.DefaultTenant, math.MinInt64/2, math.MaxInt64/2)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	c := collected{}
	pack := &packer{to: c}
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchNotEqual, labels.MetricName, ""))
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		if err := pack.samples(set.At().Labels(), it, math.MinInt64, math.MaxInt64); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.Err(); err != nil {
		t.Fatal(err)
	}
	if err := pack.flush(); err != nil {
		t.Fatal(err)
	}
	return c
}

// collected is a sink that keeps samples as text, bit by bit.
type collected map[string]bool

func (c collected) Batch(b *series.Batch) error {
	for i, row := range b.Rows {
		ls := b.Labels(i).String()
		for j := row.Samples.Start; j < row.Samples.End; j++ {
			c[fmt.Sprintf("%s %d start=%d %x", ls, b.Timestamps[j], b.StartOf(j), math.Float64bits(b.Values[j]))] = true
		}
		for _, h := range b.Histograms[row.Histograms.Start:row.Histograms.End] {
			text := ""
			if h.Int != nil {
				h.Int.CounterResetHint = 0 // a hint, which is found anew
				text = fmt.Sprintf("%s %x", h.Int, math.Float64bits(h.Int.Sum))
			} else {
				h.Float.CounterResetHint = 0
				text = fmt.Sprintf("float %s %x", h.Float, math.Float64bits(h.Float.Sum))
			}
			c[fmt.Sprintf("%s %d start=%d histogram %s", ls, h.Timestamp, h.Start, text)] = true
		}
		for j := row.Exemplars.Start; j < row.Exemplars.End; j++ {
			x := b.Exemplars[j]
			c[fmt.Sprintf("%s exemplar %s %d %x", ls, b.ExemplarLabels(j), x.Timestamp, math.Float64bits(x.Value))] = true
		}
	}
	for _, m := range b.Metadata {
		c[fmt.Sprintf("metadata %v", m)] = true
	}
	return nil
}

func (c collected) Lost(l Loss) {
	if l.N > 0 {
		c[fmt.Sprintf("lost %d %s", l.N, l.Reason)] = true
	}
}

// all reads all of a source.
func all(t *testing.T, s Source) collected {
	t.Helper()
	c := collected{}
	parts, err := s.Parts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if err := s.Read(t.Context(), p, c); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
	}
	return c
}

// without leaves out what contains one of some words.
func (c collected) without(words ...string) collected {
	rest := collected{}
	for line := range c {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			rest[line] = true
		}
	}
	return rest
}

// want compares what was collected.
func (c collected) want(t *testing.T, what string, want collected) {
	t.Helper()
	shown := 0
	complain := func(sign, line string) {
		if shown++; shown < 10 {
			t.Errorf("%s: %s %s", what, sign, line)
		}
	}
	for line := range c {
		if !want[line] {
			complain("+", line)
		}
	}
	for line := range want {
		if !c[line] {
			complain("-", line)
		}
	}
}

// mustImport imports and expects that nothing is lost.
func mustImport(t *testing.T, s Source, to *Target, o Options) Report {
	t.Helper()
	r, err := Import(t.Context(), s, to, o)
	if err != nil || r.LostTotal() > 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	return r
}
