package tsdb

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/series"
)

// goldenBatch is a batch with everything that a record can hold.
func goldenBatch() (*series.Batch, []index.Ref, []int) {
	b := new(series.Batch)
	b.AddEncodedRow(series.AppendLabels(nil, labels.FromStrings("__name__", "up", "job", "a")))
	b.AddSample(1700000000000, 0, 1)
	b.AddSample(1700000015000, 1699999990000, -300)
	b.AddEncodedRow(series.AppendLabels(nil, labels.FromStrings("__name__", "up", "job", "b")))
	b.AddSample(1700000015000, 0, 0.1)
	b.AddSample(1700000030000, 0, math.Float64frombits(staleBits))
	b.AddSample(1700000030000, 0, 0)
	b.AddEncodedRow(series.AppendLabels(nil, labels.FromStrings("__name__", "h")))
	b.AddHistogram(series.Histogram{Timestamp: 1700000000000, Start: 1699999990000, Int: &histogram.Histogram{
		Schema: 1, ZeroThreshold: 0.5, ZeroCount: 1, Count: 6, Sum: 2.5,
		PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}}, PositiveBuckets: []int64{2, 1},
	}})
	b.AddHistogram(series.Histogram{Timestamp: 1700000015000, Float: &histogram.FloatHistogram{
		Schema: histogram.CustomBucketsSchema, Count: 1.5, Sum: 3,
		PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{1.5}, CustomValues: []float64{2},
	}})
	b.AddEncodedExemplar(1700000000123, 0.25, series.AppendLabels(nil, labels.FromStrings("trace_id", "x")))
	b.AddEncodedRow(series.AppendLabels(nil, labels.FromStrings("__name__", "left_out")))
	b.AddSample(1, 0, 1)
	return b, []index.Ref{7, 8, 3, 0}, []int{0, 2}
}

var goldenHeader = recordHeader{Origin: 0, Counter: 5, Clock: 1700000000000<<16 | 2, Tenant: 9}

func TestRecordGolden(t *testing.T) {
	b, refs, register := goldenBatch()
	var w recordWriter
	got := hex.EncodeToString(w.append(nil, goldenHeader, b, refs, register))
	want := strings.Join([]string{"TODO"}, "")
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

var _ = bytes.Equal
var _ = errors.Is
var _ = fmt.Sprint
var _ = rand.New
var _ = s2.Decode
var _ = chunks.ErrCorrupt
