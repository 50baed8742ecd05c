//go:build e2e

package e2e

import (
	"math"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varve-db/varve/ingest/remotewrite"
	"github.com/varve-db/varve/series"
)

// TestBitsSurvive writes floats of which careless software loses bits (the
// protobuf encoder of most senders drops the sign of -0), and reads them back
// from the log and from partitions.
func TestBitsSurvive(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	start := time.Now().Add(-time.Minute).UnixMilli()
	want := recording{}
	var batch series.Batch
	ls := labels.FromStrings("__name__", "e2e_bits")
	if reason, detail := batch.AddSeries(ls); reason != "" {
		t.Fatal(reason, detail)
	}
	for i, bits := range []uint64{
		0, 1 << 63, 1, 1<<63 | 1, math.Float64bits(math.MaxFloat64), math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)),
		value.NormalNaN, value.StaleNaN, 0x7ff8dead_beef0001, 0xfff80000_00000000, math.Float64bits(0.1), math.Float64bits(1e22), math.Float64bits(1 << 53),
	} {
		at, v := start+int64(i)*1000, math.Float64frombits(bits)
		batch.AddSample(at, 0, v)
		want.add(labelsOf("e2e_bits"), []prompb.Sample{{Timestamp: at, Value: v}}, nil)
	}
	body := snappy.Encode(nil, remotewrite.AppendV1(nil, &batch))
	n.post("/api/v1/write", writeV1Type, body, "Content-Encoding", "snappy").want(t, "remote write", 204)
	check := func(when string) {
		t.Helper()
		wantSame(t, when, want, n.readChunks(span{start, start + 60_000}, everything))
	}
	check("written")
	n.kill()
	n.restart()
	check("killed")
	n.flush()
	check("flushed")
	n.post("/api/v1/write", writeV1Type, body, "Content-Encoding", "snappy").want(t, "remote write again", 204)
	n.kill()
	n.restart()
	check("written again and killed")
}
