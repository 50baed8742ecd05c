package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/query"
)

// readBytesMax bounds a remote read request, compressed and not.
const readBytesMax = 32 << 20

// read answers a remote read: samples in one message, or chunks in a stream of
// frames, whichever the client names first.
func (a *API) read(ctx context.Context, c *call) error {
	request, err := decodeRead(c)
	if err != nil {
		return badData(err)
	}
	kind, err := readKind(request.AcceptedResponseTypes)
	if err != nil {
		return badData(err)
	}
	ctx, budget, leave, err := a.deps.Engine.Admit(ctx, 0)
	if err != nil {
		return err
	}
	if kind == prompb.ReadRequest_STREAMED_XOR_CHUNKS {
		c.atEnd(leave) // storage is read as the body is written
		return a.readChunks(ctx, c, budget, request)
	}
	defer leave()
	return a.readSamples(ctx, c, budget, request)
}

func decodeRead(c *call) (*prompb.ReadRequest, error) {
	body, err := readBody(c.http, readBytesMax)
	if err != nil {
		return nil, err
	}
	size, err := snappy.DecodedLen(body)
	if err != nil {
		return nil, err
	}
	if size > readBytesMax {
		return nil, fmt.Errorf("snappy: decoded length %d exceeds limit %d", size, readBytesMax)
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, err
	}
	request := &prompb.ReadRequest{}
	if err := request.Unmarshal(raw); err != nil {
		return nil, err
	}
	return request, nil
}

// readKind chooses the kind of answer; old clients name none and want samples.
func readKind(accepted []prompb.ReadRequest_ResponseType) (prompb.ReadRequest_ResponseType, error) {
	if len(accepted) == 0 {
		return prompb.ReadRequest_SAMPLES, nil
	}
	for _, kind := range accepted {
		if kind == prompb.ReadRequest_SAMPLES || kind == prompb.ReadRequest_STREAMED_XOR_CHUNKS {
			return kind, nil
		}
	}
	return 0, fmt.Errorf("server does not support any of the requested response types: %v; supported: %v",
		accepted, []prompb.ReadRequest_ResponseType{prompb.ReadRequest_SAMPLES, prompb.ReadRequest_STREAMED_XOR_CHUNKS})
}

func (a *API) readSamples(ctx context.Context, c *call, budget *query.Budget, request *prompb.ReadRequest) error {
	response := prompb.ReadResponse{Results: make([]*prompb.QueryResult, len(request.Queries))}
	from := query.Limited(c.from.Queryable, budget)
	left := a.options.ReadSamplesMax
	for i, q := range request.Queries {
		matchers, err := a.readMatchers(q.Matchers)
		if err != nil {
			return badData(err)
		}
		response.Results[i], err = readResult(ctx, from, q, matchers, &left)
		if errors.Is(err, errSamplesMax) {
			return badData(fmt.Errorf("exceeded sample limit (%d)", a.options.ReadSamplesMax))
		}
		if err != nil {
			return ofStorage(err)
		}
		for _, series := range response.Results[i].Timeseries {
			series.Labels = mergeLabels(series.Labels, a.readLabels())
		}
	}
	raw, err := response.Marshal()
	if err != nil {
		return &failure{kindInternal, fmt.Errorf("encode remote read: %w", err)}
	}
	c.http.SetContentType("application/x-protobuf")
	c.http.Response.Header.Set("Content-Encoding", "snappy")
	return a.buffers.send(c.http, whole(snappy.Encode(nil, raw)), false, c.end)
}

var errSamplesMax = errors.New("too many samples")

// readResult reads the samples of one query, of which left may be had.
func readResult(ctx context.Context, from storage.Queryable, q *prompb.Query, matchers []*labels.Matcher, left *int) (*prompb.QueryResult, error) {
	querier, err := from.Querier(q.StartTimestampMs, q.EndTimestampMs)
	if err != nil {
		return nil, err
	}
	defer querier.Close()
	result := &prompb.QueryResult{}
	var iterator chunkenc.Iterator
	for set := querier.Select(ctx, false, readHints(q), matchers...); ; {
		if !set.Next() {
			return result, set.Err()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		iterator = set.At().Iterator(iterator)
		series := &prompb.TimeSeries{Labels: prompb.FromLabels(cloned(set.At().Labels()), nil)}
		if err := readSeries(series, iterator, left); err != nil {
			return nil, err
		}
		result.Timeseries = append(result.Timeseries, series)
	}
}

func readSeries(series *prompb.TimeSeries, from chunkenc.Iterator, left *int) error {
	for {
		kind := from.Next()
		if kind == chunkenc.ValNone {
			return from.Err()
		}
		if *left == 0 {
			return errSamplesMax
		}
		*left--
		switch kind {
		case chunkenc.ValFloat:
			t, v := from.At()
			series.Samples = append(series.Samples, prompb.Sample{Timestamp: t, Value: v})
		case chunkenc.ValHistogram:
			t, h := from.AtHistogram(nil)
			series.Histograms = append(series.Histograms, prompb.FromIntHistogram(t, h))
		case chunkenc.ValFloatHistogram:
			t, h := from.AtFloatHistogram(nil)
			series.Histograms = append(series.Histograms, prompb.FromFloatHistogram(t, h))
		default:
			return fmt.Errorf("unrecognized value type: %s", kind)
		}
	}
}

func readHints(q *prompb.Query) *storage.SelectHints {
	if q.Hints == nil {
		return nil
	}
	return &storage.SelectHints{
		Start: q.Hints.StartMs, End: q.Hints.EndMs, Step: q.Hints.StepMs, Range: q.Hints.RangeMs,
		Func: q.Hints.Func, Grouping: q.Hints.Grouping, By: q.Hints.By,
	}
}

// readMatchers converts matchers. One that asks for an external label's value asks
// for series without the label: that is how they are stored.
func (a *API) readMatchers(from []*prompb.LabelMatcher) ([]*labels.Matcher, error) {
	types := map[prompb.LabelMatcher_Type]labels.MatchType{
		prompb.LabelMatcher_EQ: labels.MatchEqual, prompb.LabelMatcher_NEQ: labels.MatchNotEqual,
		prompb.LabelMatcher_RE: labels.MatchRegexp, prompb.LabelMatcher_NRE: labels.MatchNotRegexp,
	}
	matchers := make([]*labels.Matcher, 0, len(from))
	for _, m := range from {
		kind, ok := types[m.Type]
		if !ok {
			return nil, errors.New("invalid matcher type")
		}
		value := m.Value
		if external := a.options.ExternalLabels[m.Name]; kind == labels.MatchEqual && external == value {
			value = ""
		}
		matcher, err := labels.NewMatcher(kind, m.Name, value)
		if err != nil {
			return nil, err
		}
		matchers = append(matchers, matcher)
	}
	return matchers, nil
}

// readLabels are the external labels in order.
func (a *API) readLabels() []prompb.Label {
	var list []prompb.Label
	for name, value := range a.options.ExternalLabels {
		list = append(list, prompb.Label{Name: name, Value: value})
	}
	slices.SortFunc(list, byName)
	return list
}

func byName(x, y prompb.Label) int { return strings.Compare(x.Name, y.Name) }

// mergeLabels adds those of extra, by name, that own has not.
func mergeLabels(own, extra []prompb.Label) []prompb.Label {
	if len(extra) == 0 {
		return own
	}
	merged := slices.Clone(own)
	for _, l := range extra {
		if _, ok := slices.BinarySearchFunc(own, l, byName); !ok {
			merged = append(merged, l)
		}
	}
	slices.SortFunc(merged, byName)
	return merged
}
