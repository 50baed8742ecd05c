package api

import (
	"math"
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// A part writes one piece of an answer, in blocks: next appends a block to dst and
// reports whether that was the last.
type part interface {
	next(dst []byte) (out []byte, done bool)
}

// text is a part that is small enough for one block.
type text func(dst []byte) []byte

func (t text) next(dst []byte) ([]byte, bool) { return t(dst), true }

// blockBytes is about how much a part appends before it pauses.
const blockBytes = 64 << 10

// valuePart returns the part that writes the result of a query.
func valuePart(v parser.Value) part {
	switch v := v.(type) {
	case promql.Matrix:
		return &matrixPart{matrix: v}
	case promql.Vector:
		return &vectorPart{vector: v}
	case promql.Scalar:
		return text(func(dst []byte) []byte {
			dst = append(appendNumber(append(dst, '['), float64(v.T)/1000), ',')
			return append(appendFixed(dst, v.V), ']')
		})
	case promql.String:
		return text(func(dst []byte) []byte {
			dst = append(appendNumber(append(dst, '['), float64(v.T)/1000), ',')
			return append(appendString(dst, v.V, escapeHTML), ']')
		})
	default:
		return text(func(dst []byte) []byte { return append(dst, "null"...) })
	}
}

type vectorPart struct {
	vector promql.Vector
	at     int
}

func (p *vectorPart) next(dst []byte) ([]byte, bool) {
	if p.at == 0 {
		dst = append(dst, '[')
	}
	for limit := len(dst) + blockBytes; p.at < len(p.vector); {
		if p.at > 0 {
			dst = append(dst, ',')
		}
		dst = appendSample(dst, &p.vector[p.at])
		p.at++
		if len(dst) > limit && p.at < len(p.vector) {
			return dst, false
		}
	}
	return append(dst, ']'), true
}

func appendSample(dst []byte, s *promql.Sample) []byte {
	dst = append(dst, `{"metric":`...)
	dst = appendLabels(dst, s.Metric)
	if s.H == nil {
		dst = append(dst, `,"value":[`...)
		dst = append(appendTime(dst, s.T), ',')
		dst = appendValue(dst, s.F)
	} else {
		dst = append(dst, `,"histogram":[`...)
		dst = append(appendTime(dst, s.T), ',')
		dst = appendHistogram(dst, s.H)
	}
	return append(dst, ']', '}')
}

// matrixPart writes series after series, and may pause inside one. While there is
// much to write, a second goroutine writes every other block.
type matrixPart struct {
	matrix promql.Matrix
	series int // the one being written
	opened bool
	floats int // points of it that are written
	hists  int
	times  timeTexts
	second *matrixPart // writes series of its own
	beside []byte      // what it has written
}

func (p *matrixPart) next(dst []byte) ([]byte, bool) {
	if p.series == 0 && !p.opened {
		dst = append(dst, '[')
	}
	if first, end := p.split(); first < end {
		dst = p.both(dst, first, end)
	} else {
		end = len(p.matrix)
		if p.opened { // what comes after it may be split again
			end = p.series + 1
		}
		var paused bool
		if dst, paused = p.upTo(dst, end, len(dst)+blockBytes); paused {
			return dst, false
		}
	}
	if p.series < len(p.matrix) {
		return dst, false
	}
	return append(dst, ']'), true
}

// upTo writes the series before number end, until dst is longer than limit.
func (p *matrixPart) upTo(dst []byte, end, limit int) (_ []byte, paused bool) {
	for p.series < end {
		s := &p.matrix[p.series]
		if !p.opened {
			dst = p.open(dst, s)
		}
		if dst, paused = p.points(dst, s, limit); paused {
			return dst, true
		}
		dst = append(dst, '}')
		p.series, p.opened = p.series+1, false
	}
	return dst, false
}

// blockPoints is about how many points make a block.
const blockPoints = 3000

// split returns the series that two goroutines write next: one those before first,
// the other those from there to end. There are none if little is left.
func (p *matrixPart) split() (first, end int) {
	if p.opened || len(p.matrix)-p.series < 2 {
		return 0, 0
	}
	points := 0
	for i := p.series; i < len(p.matrix); i++ {
		points += len(p.matrix[i].Floats)
		switch {
		case points > 8*blockPoints: // a series too long for one block
			return 0, 0
		case first == 0 && points >= blockPoints:
			first = i + 1
		case points >= 2*blockPoints:
			return first, i + 1
		}
	}
	return 0, 0
}

// both writes series up to first, and beside it those from there to end.
func (p *matrixPart) both(dst []byte, first, end int) []byte {
	if p.second == nil {
		p.second = &matrixPart{matrix: p.matrix}
	}
	p.second.series = first
	var written sync.WaitGroup
	written.Go(func() { p.beside, _ = p.second.upTo(p.beside[:0], end, math.MaxInt) })
	dst, _ = p.upTo(dst, first, math.MaxInt)
	written.Wait()
	p.series = end
	return append(dst, p.beside...)
}

func (p *matrixPart) open(dst []byte, s *promql.Series) []byte {
	if p.series > 0 {
		dst = append(dst, ',')
	}
	p.opened, p.floats, p.hists = true, 0, 0
	p.times.rewind()
	return appendLabels(append(dst, `{"metric":`...), s.Metric)
}

func (p *matrixPart) points(dst []byte, s *promql.Series, limit int) ([]byte, bool) {
	var paused bool
	if dst, paused = p.floatPoints(dst, s.Floats, limit); paused {
		return dst, true
	}
	for p.hists < len(s.Histograms) {
		if len(dst) > limit {
			return dst, true
		}
		dst = appendOpening(dst, p.hists, `,"histograms":[`)
		point := s.Histograms[p.hists]
		dst = p.times.append(dst, point.T)
		dst = append(appendHistogram(dst, point.H), ']')
		if p.hists++; p.hists == len(s.Histograms) {
			dst = append(dst, ']')
		}
	}
	return dst, false
}

// floatPoints writes what is left of points. A value that equals the one before,
// as flat lines have them, is copied from there.
func (p *matrixPart) floatPoints(dst []byte, points []promql.FPoint, limit int) ([]byte, bool) {
	if p.floats == len(points) {
		return dst, false
	}
	var last uint64
	from, to := 0, 0 // where the text of last stands
	for i := p.floats; i < len(points); i++ {
		if len(dst) > limit {
			p.floats = i
			return dst, true
		}
		dst = appendOpening(dst, i, `,"values":[`)
		dst = p.times.append(dst, points[i].T)
		bits := math.Float64bits(points[i].F)
		if bits != last || to == 0 {
			last, from = bits, len(dst)
			dst = append(appendValue(dst, points[i].F), ']')
			to = len(dst)
		} else {
			dst = append(dst, dst[from:to]...)
		}
	}
	p.floats = len(points)
	p.times.rewind()
	return append(dst, ']'), false
}

// appendOpening appends what comes before the element numbered i of an array.
func appendOpening(dst []byte, i int, opening string) []byte {
	if i == 0 {
		return append(dst, opening...)
	}
	return append(dst, ',')
}

// timeTexts remembers how points of timestamps in ascending order begin, such as
// "[1.5,": the series of a range query have the same ones.
type timeTexts struct {
	times []int64
	ends  []int32
	text  []byte
	at    int
}

// timeTextsMax bounds what is remembered to the points of a usual range query.
const timeTextsMax = 16384

func (t *timeTexts) rewind() { t.at = 0 }

func (t *timeTexts) append(dst []byte, ms int64) []byte {
	for t.at < len(t.times) && t.times[t.at] < ms {
		t.at++
	}
	if t.at < len(t.times) && t.times[t.at] == ms {
		from := int32(0)
		if t.at > 0 {
			from = t.ends[t.at-1]
		}
		dst = append(dst, t.text[from:t.ends[t.at]]...)
		t.at++
		return dst
	}
	start := len(dst)
	dst = append(appendTime(append(dst, '['), ms), ',')
	if t.at == len(t.times) && len(t.times) < timeTextsMax {
		t.times = append(t.times, ms)
		t.text = append(t.text, dst[start:]...)
		t.ends = append(t.ends, int32(len(t.text)))
		t.at++
	}
	return dst
}

// appendHistogram appends count, sum and the buckets that are not empty. A bucket
// is [boundaries, lower, upper, count]; boundaries says which of its two borders
// belong to it: 0 the upper, 1 the lower, 2 neither, 3 both.
func appendHistogram(dst []byte, h *histogram.FloatHistogram) []byte {
	dst = appendValue(append(dst, `{"count":`...), h.Count)
	dst = appendValue(append(dst, `,"sum":`...), h.Sum)
	written := 0
	for buckets := h.AllBucketIterator(); buckets.Next(); {
		b := buckets.At()
		if b.Count == 0 {
			continue
		}
		dst = appendOpening(dst, written, `,"buckets":[`)
		written++
		dst = append(dst, '[', boundaries(b.LowerInclusive, b.UpperInclusive), ',')
		dst = append(appendValue(dst, b.Lower), ',')
		dst = append(appendValue(dst, b.Upper), ',')
		dst = append(appendValue(dst, b.Count), ']')
	}
	if written > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func boundaries(lower, upper bool) byte {
	switch {
	case lower && upper:
		return '3'
	case lower:
		return '1'
	case upper:
		return '0'
	default:
		return '2'
	}
}
