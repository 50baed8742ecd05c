package api

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/varve-db/varve/query"
)

// readChunks streams chunks. Each query's set is opened before the first byte, so
// that what is wrong with a request is an error and not a broken stream.
func (a *API) readChunks(ctx context.Context, c *call, budget *query.Budget, request *prompb.ReadRequest) error {
	stream := &frames{external: a.readLabels(), bytesMax: a.options.ReadFrameBytes, ended: ctx.Err, sums: crc32.MakeTable(crc32.Castagnoli)}
	for _, q := range request.Queries {
		matchers, err := a.readMatchers(q.Matchers)
		if err != nil {
			return badData(err)
		}
		set, err := a.chunkSet(ctx, c, budget, q, matchers)
		if err != nil {
			return ofStorage(err)
		}
		stream.sets = append(stream.sets, set)
	}
	c.http.SetContentType("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
	if err := a.buffers.send(c.http, stream, false, c.end); err != nil {
		return ofStorage(err)
	}
	return nil
}

// chunkSet selects the chunks of a query, from samples if the storage has none.
func (a *API) chunkSet(ctx context.Context, c *call, budget *query.Budget, q *prompb.Query, matchers []*labels.Matcher) (storage.ChunkSeriesSet, error) {
	if c.from.Chunks == nil {
		querier, err := query.Limited(c.from.Queryable, budget).Querier(q.StartTimestampMs, q.EndTimestampMs)
		if err != nil {
			return nil, err
		}
		c.atEnd(func() { _ = querier.Close() })
		return storage.NewSeriesSetToChunkSet(querier.Select(ctx, true, readHints(q), matchers...)), nil
	}
	querier, err := query.LimitedChunks(c.from.Chunks, budget).ChunkQuerier(q.StartTimestampMs, q.EndTimestampMs)
	if err != nil {
		return nil, err
	}
	c.atEnd(func() { _ = querier.Close() })
	return querier.Select(ctx, true, readHints(q), matchers...), nil
}

// frames is the source of a streamed remote read. A frame is
//
//	length of the message  uvarint
//	CRC-32 (Castagnoli)    4 bytes, big-endian
//	message                a ChunkedReadResponse with chunks of one series
//
// and a series takes as many frames as its chunks need.
type frames struct {
	sets     []storage.ChunkSeriesSet
	external []prompb.Label
	bytesMax int
	ended    func() error
	sums     *crc32.Table

	at     int // the set being read
	opened bool
	labels []prompb.Label
	chunks chunks.Iterator
	more   bool // chunks stands at a chunk
	frame  []prompb.Chunk
}

// next implements source: it appends one frame, or nothing at the end of a series.
func (f *frames) next(dst []byte) ([]byte, bool, error) {
	if f.at == len(f.sets) {
		return dst, true, nil
	}
	if err := f.ended(); err != nil {
		return dst, false, err
	}
	set := f.sets[f.at]
	if !f.opened {
		if !set.Next() {
			f.at++
			return dst, f.at == len(f.sets), set.Err()
		}
		f.opened = true
		f.labels = mergeLabels(prompb.FromLabels(set.At().Labels(), nil), f.external)
		f.chunks = set.At().Iterator(f.chunks)
		f.more = f.chunks.Next()
	}
	if err := f.gather(); err != nil {
		return dst, false, err
	}
	if len(f.frame) == 0 {
		f.opened = false
		return dst, false, f.chunks.Err()
	}
	dst, err := f.write(dst)
	return dst, false, err
}

// gather takes chunks of the series until a frame is full.
func (f *frames) gather() error {
	left := f.bytesMax
	for _, l := range f.labels {
		left -= l.Size()
	}
	f.frame = f.frame[:0]
	for f.more {
		portable, err := appendPortable(f.frame, f.chunks.At())
		if err != nil {
			return err
		}
		for _, c := range portable[len(f.frame):] {
			left -= c.Size()
		}
		f.frame = portable
		f.more = f.chunks.Next()
		if left <= 0 {
			return nil
		}
	}
	return nil
}

func (f *frames) write(dst []byte) ([]byte, error) {
	message := prompb.ChunkedReadResponse{
		ChunkedSeries: []*prompb.ChunkedSeries{{Labels: f.labels, Chunks: f.frame}},
		QueryIndex:    int64(f.at),
	}
	size := message.Size()
	dst = binary.AppendUvarint(dst, uint64(size))
	sumAt := len(dst)
	dst = append(dst, make([]byte, 4+size)...)
	if _, err := message.MarshalToSizedBuffer(dst[sumAt+4:]); err != nil {
		return dst, fmt.Errorf("encode frame: %w", err)
	}
	binary.BigEndian.PutUint32(dst[sumAt:], crc32.Checksum(dst[sumAt+4:], f.sums))
	return dst, nil
}

// appendPortable appends a chunk in an encoding that every client of the protocol
// knows. The newer ones, which carry start timestamps, are written anew without.
func appendPortable(dst []prompb.Chunk, c chunks.Meta) ([]prompb.Chunk, error) {
	if c.Chunk == nil {
		return dst, fmt.Errorf("found not populated chunk returned by SeriesSet at ref: %v", c.Ref)
	}
	switch c.Chunk.Encoding() {
	case chunkenc.EncXOR, chunkenc.EncHistogram, chunkenc.EncFloatHistogram:
		return appendChunk(dst, c), nil
	}
	plain := storage.NewSeriesToChunkEncoder(&startless{chunk: c.Chunk})
	it := plain.Iterator(nil)
	for it.Next() {
		dst = appendChunk(dst, it.At())
	}
	return dst, it.Err()
}

func appendChunk(dst []prompb.Chunk, c chunks.Meta) []prompb.Chunk {
	return append(dst, prompb.Chunk{
		MinTimeMs: c.MinTime, MaxTimeMs: c.MaxTime,
		Type: prompb.Chunk_Encoding(c.Chunk.Encoding()), Data: c.Chunk.Bytes(),
	})
}

// startless is a chunk's samples without their start timestamps.
type startless struct{ chunk chunkenc.Chunk }

func (s *startless) Labels() labels.Labels { return labels.EmptyLabels() }

func (s *startless) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return startlessIterator{s.chunk.Iterator(nil)}
}

type startlessIterator struct{ chunkenc.Iterator }

func (startlessIterator) AtST() int64 { return 0 }
