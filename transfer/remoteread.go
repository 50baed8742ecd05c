package transfer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// remoteRead is a server that answers Prometheus's remote read.
type remoteRead struct {
	url    string
	http   *http.Client
	header http.Header
	filter Filter
}

// OpenRemoteRead reads from a remote read address, such as
// http://prometheus:9090/api/v1/read, a day at a time. The protocol has no place
// for start timestamps, exemplars and metadata. The filter must say from when on.
func OpenRemoteRead(url string, client *http.Client, header http.Header, f Filter) (Source, error) {
	if f.Start.IsZero() || f.End.IsZero() {
		return nil, errNoRange
	}
	if len(f.Selectors) == 0 {
		f.Selectors = [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".+")}}
	}
	return &remoteRead{url: url, http: client, header: header, filter: f}, nil
}

var errNoRange = errors.New("reading from a server needs a start and an end")

// Name implements Source.
func (r *remoteRead) Name() string { return r.url }

// Close implements Source.
func (r *remoteRead) Close() error { return nil }

// Parts implements Source.
func (r *remoteRead) Parts(context.Context) ([]Part, error) { return daysOf(r.filter.bounds()), nil }

// Read implements Source.
func (r *remoteRead) Read(ctx context.Context, part Part, to Sink) error {
	pack := &packer{to: to}
	for _, selector := range r.filter.Selectors {
		if err := r.readSelector(ctx, selector, part, pack); err != nil {
			return err
		}
	}
	return pack.flush()
}

func (r *remoteRead) readSelector(ctx context.Context, selector []*labels.Matcher, part Part, pack *packer) error {
	query := &prompb.Query{StartTimestampMs: part.from, EndTimestampMs: part.to}
	for _, m := range selector {
		query.Matchers = append(query.Matchers, &prompb.LabelMatcher{Type: prompb.LabelMatcher_Type(m.Type), Name: m.Name, Value: m.Value})
	}
	raw, err := (&prompb.ReadRequest{
		Queries:               []*prompb.Query{query},
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES},
	}).Marshal()
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		return err
	}
	for name, values := range r.header {
		q.Header[name] = values
	}
	q.Header.Set("Content-Type", "application/x-protobuf")
	q.Header.Set("Content-Encoding", "snappy")
	q.Header.Set("X-Prometheus-Remote-Read-Version", "0.1.0")
	reply, err := r.http.Do(q)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return statusError(reply)
	}
	if strings.HasPrefix(reply.Header.Get("Content-Type"), "application/x-streamed-protobuf") {
		return readFrames(reply.Body, part, pack)
	}
	return readSamples(reply.Body, part, pack)
}

// statusError tells what a server answered that did not do what it was asked.
func statusError(reply *http.Response) error {
	const shown = 1 << 10
	text, _ := io.ReadAll(io.LimitReader(reply.Body, shown)) // what there is of it
	return fmt.Errorf("the server answered %s: %s", reply.Status, strings.TrimSpace(string(text)))
}

// answerBytesMax bounds a frame of a streamed answer, and an answer that is not.
const answerBytesMax = 256 << 20

var errTooLong = errors.New("the answer is too long; ask for less with a selector")

// readFrames reads a streamed answer; see query/api for what a frame is.
func readFrames(from io.Reader, part Part, pack *packer) error {
	in := bufio.NewReaderSize(from, 64<<10)
	sums := crc32.MakeTable(crc32.Castagnoli)
	var frame []byte
	for {
		size, err := binary.ReadUvarint(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if size > answerBytesMax {
			return errTooLong
		}
		if uint64(cap(frame)) < size+4 {
			frame = make([]byte, size+4)
		}
		frame = frame[:size+4]
		if _, err := io.ReadFull(in, frame); err != nil {
			return fmt.Errorf("a frame is cut short: %w", err)
		}
		if crc32.Checksum(frame[4:], sums) != binary.BigEndian.Uint32(frame) {
			return errors.New("a frame is damaged")
		}
		var m prompb.ChunkedReadResponse
		if err := m.Unmarshal(frame[4:]); err != nil {
			return err
		}
		for _, s := range m.ChunkedSeries {
			if err := packChunks(s, part, pack); err != nil {
				return err
			}
		}
	}
}

func packChunks(s *prompb.ChunkedSeries, part Part, pack *packer) error {
	ls := labelsOf(s.Labels)
	for _, c := range s.Chunks {
		chunk, err := chunkenc.FromData(chunkenc.Encoding(c.Type), c.Data)
		if err != nil {
			return fmt.Errorf("series %s: %w", ls, err)
		}
		if err := pack.samples(ls, chunk.Iterator(nil), part.from, part.to); err != nil {
			return fmt.Errorf("series %s: %w", ls, err)
		}
	}
	return nil
}

func labelsOf(list []prompb.Label) labels.Labels {
	builder := labels.NewScratchBuilder(len(list))
	for _, l := range list {
		builder.Add(l.Name, l.Value)
	}
	builder.Sort()
	return builder.Labels()
}

// readSamples reads an answer that comes whole, as old servers give it.
func readSamples(from io.Reader, part Part, pack *packer) error {
	body, err := io.ReadAll(io.LimitReader(from, answerBytesMax+1))
	if err != nil {
		return err
	}
	size, err := snappy.DecodedLen(body)
	if err != nil {
		return err
	}
	if len(body) > answerBytesMax || size > answerBytesMax {
		return errTooLong
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return err
	}
	var m prompb.ReadResponse
	if err := m.Unmarshal(raw); err != nil {
		return err
	}
	for _, result := range m.Results {
		for _, s := range result.Timeseries {
			if err := packSeries(s, part, pack); err != nil {
				return err
			}
		}
	}
	return nil
}

func packSeries(s *prompb.TimeSeries, part Part, pack *packer) error {
	ls := labelsOf(s.Labels)
	if reason, detail := pack.begin(ls); reason != "" {
		pack.to.Lost(Loss{Reason: string(reason), N: len(s.Samples) + len(s.Histograms), Example: ls.String() + ": " + detail})
		return nil
	}
	for _, x := range s.Samples {
		if x.Timestamp < part.from || x.Timestamp > part.to {
			continue
		}
		if err := pack.float(x.Timestamp, 0, x.Value); err != nil {
			return err
		}
	}
	for _, h := range s.Histograms {
		var err error
		if h.IsFloatHistogram() {
			err = pack.histogram(h.Timestamp, 0, nil, h.ToFloatHistogram())
		} else {
			err = pack.histogram(h.Timestamp, 0, h.ToIntHistogram(), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
