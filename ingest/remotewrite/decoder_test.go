package remotewrite

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/varve-db/varve/series"
)

func TestNoAllocationPerSeries(t *testing.T) {
	batch := scrape(t, 500)
	for i := range 40 {
		batch.Metadata = append(batch.Metadata, series.Metadata{
			Metric: fmt.Sprintf("container_network_receive_bytes_%d_total", i), Type: "counter", Help: "Bytes received",
		})
	}
	v1, v2 := AppendV1(nil, batch), AppendV2(nil, batch)
	var d Decoder
	var b series.Batch
	for name, decode := range map[string]func() error{
		"v1": func() error { return d.V1(&b, v1, series.LabelRules{}) },
		"v2": func() error { return d.V2(&b, v2, series.LabelRules{}) },
	} {
		allocs := testing.AllocsPerRun(50, func() {
			b.Reset()
			if err := decode(); err != nil {
				t.Fatal(err)
			}
		})
		if len(b.Values) != 500 || len(b.Metadata) != 40 {
			t.Fatalf("%s: %d samples, %d metadata", name, len(b.Values), len(b.Metadata))
		}
		if allocs != 0 {
			t.Errorf("%s: %v allocations a request of 500 series", name, allocs)
		}
	}
}

func marshalV2(t *testing.T, r *writev2.Request) []byte {
	t.Helper()
	body, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestBrokenSymbolsAreMalformed(t *testing.T) {
	one := []writev2.Sample{{Value: 1, Timestamp: 1}}
	good := []string{"", "__name__", "up"}
	cases := map[string]*writev2.Request{
		"first symbol not empty": {Symbols: []string{"__name__", "up"}, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{0, 1}, Samples: one}}},
		"no symbols":             {Timeseries: []writev2.TimeSeries{{Samples: one}}},
		"label name ref":         {Symbols: good, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{3, 2}, Samples: one}}},
		"label value ref":        {Symbols: good, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{1, 1 << 31}, Samples: one}}},
		"odd labels":             {Symbols: good, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{1, 2, 1}, Samples: one}}},
		"help ref": {Symbols: good, Timeseries: []writev2.TimeSeries{
			{LabelsRefs: []uint32{1, 2}, Samples: one, Metadata: writev2.Metadata{HelpRef: 9}},
		}},
		"unit ref": {Symbols: good, Timeseries: []writev2.TimeSeries{
			{LabelsRefs: []uint32{1, 2}, Samples: one, Metadata: writev2.Metadata{UnitRef: 9}},
		}},
		"exemplar ref": {Symbols: good, Timeseries: []writev2.TimeSeries{
			{LabelsRefs: []uint32{1, 2}, Samples: one, Exemplars: []writev2.Exemplar{{LabelsRefs: []uint32{1, 3}}}},
		}},
		"odd exemplar": {Symbols: good, Timeseries: []writev2.TimeSeries{
			{LabelsRefs: []uint32{1, 2}, Samples: one, Exemplars: []writev2.Exemplar{{LabelsRefs: []uint32{1}}}},
		}},
		// The rest of a refused series is checked as well.
		"exemplar ref of a refused series": {Symbols: good, Timeseries: []writev2.TimeSeries{
			{LabelsRefs: []uint32{2, 2}, Samples: one, Exemplars: []writev2.Exemplar{{LabelsRefs: []uint32{1, 3}}}},
		}},
	}
	for name, r := range cases {
		var b series.Batch
		if err := DecodeV2(&b, marshalV2(t, r), series.LabelRules{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSymbolsMayFollowSeriesAndRepeat(t *testing.T) {
	table := marshalV2(t, &writev2.Request{Symbols: []string{"", "__name__", "up", "__name__", "job", "x"}})
	rows := marshalV2(t, &writev2.Request{Timeseries: []writev2.TimeSeries{{
		LabelsRefs: []uint32{4, 5, 3, 2}, Samples: []writev2.Sample{{Timestamp: 1}},
		Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE},
	}}})
	var b series.Batch
	if err := DecodeV2(&b, append(rows, table...), series.LabelRules{}); err != nil {
		t.Fatal(err)
	}
	want := "series {__name__=\"up\", job=\"x\"}\n  sample t=1 start=0 value=0/0\nmetadata \"up\" type=gauge unit=\"\" help=\"\"\n"
	if got := dump(&b); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOldCreationTimeIsIgnored(t *testing.T) {
	var e encoder
	at := e.open()
	e.refs([]uint32{1, 2})
	e.int(6, 1700000000000)
	e.sample(2, 1, 2, 0)
	e.close(5, at)
	body := append(marshalV2(t, &writev2.Request{Symbols: []string{"", "__name__", "up"}}), e.buf...)
	var b series.Batch
	if err := DecodeV2(&b, body, series.LabelRules{}); err != nil || len(b.Values) != 1 || b.StartOf(0) != 0 {
		t.Errorf("%v, %s", err, dump(&b))
	}
}

func TestUnpackedAndSplitRepeatedFields(t *testing.T) {
	var e encoder
	at := e.open()
	e.uint(1, 1) // unpacked references, then a packed rest
	e.refs([]uint32{2})
	h := e.open()
	e.uint(1, 3)
	e.spans(fieldPositiveSpans, intHistogram().PositiveSpans[:1])
	e.uint(fieldPositiveDeltas, unzigzag(1))
	e.ints(fieldPositiveDeltas, []int64{1})
	e.close(3, h)
	f := e.open()
	e.alwaysFloat(2, 1)
	e.spans(fieldPositiveSpans, intHistogram().PositiveSpans[:1])
	e.alwaysFloat(fieldPositiveCounts, 0.25)
	e.alwaysFloat(fieldPositiveCounts, 0.75)
	e.close(3, f)
	e.close(5, at)
	body := append(marshalV2(t, &writev2.Request{Symbols: []string{"", "__name__", "up"}}), e.buf...)
	var b series.Batch
	if err := DecodeV2(&b, body, series.LabelRules{}); err != nil {
		t.Fatal(err)
	}
	if text := dump(&b); !strings.Contains(text, "pos=[{-3 2}][1 1]") || !strings.Contains(text, "pos=[{-3 2}][0.25 0.75]") {
		t.Error(text)
	}
}

func TestInvalidHistogramsAreRefusedAlone(t *testing.T) {
	count := intHistogram()
	count.Count++
	schema := floatHistogram()
	schema.Schema = -5
	unknown := floatHistogram()
	unknown.Schema = 53
	spans := floatHistogram()
	spans.PositiveSpans[0].Length = 1 << 31
	fineSpans := fineHistogram()
	fineSpans.PositiveSpans[0].Length = 1 << 31
	custom := customHistogram()
	custom.CustomValues = []float64{3, 2, 1}
	r := &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels: []prompb.Label{{Name: "__name__", Value: "h"}},
		Histograms: []prompb.Histogram{
			prompb.FromIntHistogram(1, intHistogram()), prompb.FromIntHistogram(2, count), prompb.FromFloatHistogram(3, schema),
			prompb.FromFloatHistogram(4, unknown), prompb.FromFloatHistogram(5, spans), prompb.FromFloatHistogram(6, fineSpans),
			prompb.FromIntHistogram(7, custom), prompb.FromIntHistogram(8, customHistogram()),
		},
	}}}
	body, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var b series.Batch
	if err := DecodeV1(&b, body, series.LabelRules{}); err != nil {
		t.Fatal(err)
	}
	if len(b.Histograms) != 2 || b.Histograms[0].Timestamp != 1 || b.Histograms[1].Timestamp != 8 {
		t.Errorf("kept %s", dump(&b))
	}
	all := b.Refused.All()
	if len(all) != 1 || all[0].Reason != series.ReasonInvalidHistogram || all[0].Histograms != 6 || all[0].Series != `{__name__="h"}` {
		t.Errorf("refused %+v", all)
	}
}

func TestAMillionLabelsAreNotCollected(t *testing.T) {
	const labels = 1 << 20
	var e encoder
	row := e.open()
	for i := range labels {
		at := e.open()
		e.text(1, fmt.Sprint("l", i))
		e.text(2, "v")
		e.buf = append(e.buf, 0, 0) // room for the head, written in place to keep the test fast
		copy(e.buf[at+2:], e.buf[at:])
		e.buf[at], e.buf[at+1] = tagLabelV1, byte(len(e.buf)-at-2)
	}
	e.sample(2, 1, 1, 0)
	e.close(1, row)
	refused(t, "v1", func(b *series.Batch) error { return DecodeV1(b, e.buf, series.LabelRules{}) }, labels)

	refs := make([]uint32, 2*labels)
	for i := range refs {
		refs[i] = uint32(1 + i%2)
	}
	body := marshalV2(t, &writev2.Request{Symbols: []string{"", "__name__", "up"}, Timeseries: []writev2.TimeSeries{
		{LabelsRefs: refs, Samples: []writev2.Sample{{}}},
	}})
	refused(t, "v2", func(b *series.Batch) error { return DecodeV2(b, body, series.LabelRules{}) }, labels)
}

func refused(t *testing.T, name string, decode func(*series.Batch) error, labels int) {
	t.Helper()
	var b series.Batch
	start := time.Now()
	if err := decode(&b); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	all := b.Refused.All()
	if len(all) != 1 || all[0].Reason != series.ReasonTooManyLabels || all[0].Samples != 1 || !strings.Contains(all[0].Detail, fmt.Sprint(labels)) {
		t.Errorf("%s: refused %+v", name, all)
	}
	if b.MemoryBytes() > 1<<20 || time.Since(start) > 30*time.Second {
		t.Errorf("%s: took %d bytes and %v", name, b.MemoryBytes(), time.Since(start))
	}
}

func TestExpandingRequestsAreRefused(t *testing.T) {
	// Empty histograms: two bytes each.
	var e encoder
	row := e.open()
	e.labelsV1(series.Labels("\x08__name__\x01h"), 1)
	for range 1 << 20 {
		e.buf = append(e.buf, tagHistogramV1, 0)
	}
	e.close(1, row)
	var b series.Batch
	if err := DecodeV1(&b, e.buf, series.LabelRules{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("histograms: %v", err)
	}

	// One long symbol as the value of every label of every series.
	table := []string{"", "__name__", strings.Repeat("x", 60000)}
	for i := range 200 {
		table = append(table, fmt.Sprint("l", i))
	}
	refs := []uint32{1, 2}
	for i := range 200 {
		refs = append(refs, uint32(3+i), 2)
	}
	r := &writev2.Request{Symbols: table}
	for range 20 {
		r.Timeseries = append(r.Timeseries, writev2.TimeSeries{LabelsRefs: refs, Samples: []writev2.Sample{{}}})
	}
	body := marshalV2(t, r)
	if err := DecodeV2(&b, body, series.LabelRules{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("symbols: %v", err)
	}
	d := Decoder{MemoryBytesMax: 10}
	if err := d.V2(&b, marshalV2(t, requestV2()), series.LabelRules{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("limit: %v", err)
	}
}

func TestTheOtherMessageIsNotSilentlyEmpty(t *testing.T) {
	v1, _ := requestV1().Marshal()
	v2 := marshalV2(t, requestV2())
	var b series.Batch
	if err := DecodeV1(&b, v2, series.LabelRules{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("2.0 read as 1.0: %v", err)
	}
	if err := DecodeV2(&b, v1, series.LabelRules{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("1.0 read as 2.0: %v", err)
	}
	if DecodeV1(&b, nil, series.LabelRules{}) != nil || DecodeV2(&b, nil, series.LabelRules{}) != nil {
		t.Error("an empty request is a request")
	}
}

func TestRepeatedMetadataIsAddedOnce(t *testing.T) {
	v2 := marshalV2(t, requestV2())
	var d Decoder
	var b series.Batch
	for range 2 { // the second request starts anew
		b.Reset()
		if err := d.V2(&b, v2, series.LabelRules{}); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, m := range b.Metadata {
			if m.Metric == "lat" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("lat is described %d times", n)
		}
	}
}

func TestInternedStringsAreBounded(t *testing.T) {
	var in interned
	for i := range 100000 {
		if s := fmt.Sprint("metric_", i); in.of([]byte(s)) != s {
			t.Fatal(s)
		}
	}
	long := strings.Repeat("x", internedLongest+1)
	if in.of([]byte(long)) != long || in.bytes > internedBytesMax+internedLongest+internedEntry {
		t.Errorf("holds %d bytes", in.bytes)
	}
}

// Labels in any order and of any kind become the set that Prometheus makes of them.
func TestLabelsAreThoseOfPrometheus(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	names := []string{
		"a", "A", "zz", "job", "instance", "kubernetes_a", "kubernetes_b", "kubernetes_", "kubernete", "kuberne", "é.x",
		"\x00", "\x00\x00", "__name", "__name__x", "__namf__", strings.Repeat("n", 127), strings.Repeat("n", 128), strings.Repeat("n", 129),
	}
	values := []string{"", "x", "value", strings.Repeat("v", 15), strings.Repeat("v", 16), strings.Repeat("v", 17), strings.Repeat("v", 32),
		strings.Repeat("v", 33), strings.Repeat("v", 127), strings.Repeat("v", 128), strings.Repeat("v", 20000), "näh", "a\nb"}
	for range 3000 {
		chosen := []string{"__name__"}
		for _, i := range r.Perm(len(names))[:r.IntN(8)] {
			chosen = append(chosen, names[i])
		}
		if r.IntN(2) == 0 {
			slices.Sort(chosen)
		}
		var b series.Batch
		var builder labels.ScratchBuilder
		list := make([]prompb.Label, 0, len(chosen))
		b.BeginLabels()
		for _, name := range chosen {
			value := values[r.IntN(len(values))]
			if name == "__name__" {
				value = "metric"
			}
			list = append(list, prompb.Label{Name: name, Value: value})
			builder.Add(name, value)
			b.AddLabel(slices.Clip([]byte(name)), slices.Clip([]byte(value)))
		}
		builder.Sort()
		want := series.AppendLabels(nil, builder.Labels())
		if reason, detail := b.BeginRow(series.LabelRules{}); reason != "" || !bytes.Equal(b.Labels(0), want) {
			t.Fatalf("%s: %s %q, want %q", reason, detail, b.Labels(0), want)
		}
		body, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{Labels: list, Samples: []prompb.Sample{{Timestamp: 1}}}}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		b.Reset()
		if err := DecodeV1(&b, body, series.LabelRules{}); err != nil || !bytes.Equal(b.Labels(0), want) {
			t.Fatalf("%v, %q, want %q", err, b.Labels(0), want)
		}
		if err := b.Labels(0).Check(); err != nil {
			t.Fatal(err)
		}
		second := AppendV2(nil, &b)
		b.Reset()
		if err := DecodeV2(&b, second, series.LabelRules{}); err != nil || !bytes.Equal(b.Labels(0), want) {
			t.Fatalf("2.0: %v, %q, want %q", err, b.Labels(0), want)
		}
	}
}
