package otlp

import (
	"bytes"
	"slices"
	"testing"

	"github.com/varve-db/varve/series"
)

// FuzzDecode decodes any bytes as protobuf and as JSON: neither panics, takes
// more memory than the length allows, or decodes the same differently later.
func FuzzDecode(f *testing.F) {
	for _, kind := range []string{
		`"gauge":{"dataPoints":[{"timeUnixNano":"5000000","asInt":"3","flags":1}]}`,
		`"sum":{"isMonotonic":true,"aggregationTemporality":2,"dataPoints":[{"startTimeUnixNano":1000000,"asDouble":1.5,"exemplars":[{"asInt":1,"traceId":"0102030405060708090a0b0c0d0e0f10","filteredAttributes":[{"key":"a","value":{"boolValue":true}}]}]}]}`,
		`"histogram":{"aggregationTemporality":2,"dataPoints":[{"count":3,"sum":1,"bucketCounts":[1,2],"explicitBounds":[5]}]}`,
		`"exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"count":3,"scale":9,"positive":{"offset":-1,"bucketCounts":[1,2]},"zeroThreshold":0.1}]}`,
		`"summary":{"dataPoints":[{"count":3,"sum":1,"quantileValues":[{"quantile":0.5,"value":2}]}]}`,
	} {
		inJSON := request(`{"name":"a.b","unit":"s","description":"h",` + kind + `}`)
		f.Add(inJSON)
		f.Add(protobufOf(f, inJSON))
	}
	f.Add(request(`{"name":"a","gauge":{"dataPoints":[{"asDouble":"Infinity","attributes":[{"key":"a","value":{"kvlistValue":{"values":[{"key":"k"}]}}}]}]}}`))
	f.Add([]byte("\x0a\x04\x12\x02\x12\x00"))
	kept := NewDecoder(Options{PromoteAll: true, ScopeLabels: true, TypeAndUnitLabels: true, CustomBuckets: true})
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, decode := range []func(*Decoder, *series.Batch) error{
			func(d *Decoder, b *series.Batch) error { return d.Decode(b, body) },
			func(d *Decoder, b *series.Batch) error { return d.DecodeJSON(b, body) },
		} {
			var fresh, again series.Batch
			freshErr := decode(NewDecoder(kept.options), &fresh)
			err := decode(kept, &again)
			if (err == nil) != (freshErr == nil) || err == nil && !same(&fresh, &again) {
				t.Fatalf("a decoder that was used before: %v and %v, %d rows and %d", freshErr, err, len(fresh.Rows), len(again.Rows))
			}
			for i := range fresh.Rows {
				if err := fresh.Labels(i).Check(); err != nil {
					t.Fatal(err)
				}
			}
			for _, h := range fresh.Histograms {
				if h.Int == nil {
					t.Fatal("an empty histogram")
				}
			}
		}
	})
}

// same reports whether two batches hold the same, floats by their bits.
func same(x, y *series.Batch) bool {
	if len(x.Rows) != len(y.Rows) || len(x.Metadata) != len(y.Metadata) || x.Refused.String() != y.Refused.String() || len(x.Histograms) != len(y.Histograms) {
		return false
	}
	for i := range x.Rows {
		if !bytes.Equal(x.Labels(i), y.Labels(i)) {
			return false
		}
	}
	return slices.Equal(lines(x), lines(y))
}
