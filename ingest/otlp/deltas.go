package otlp

import (
	"container/list"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/varve-db/varve/series"
)

// Deltas adds up series that are sent as differences, so that they can be stored
// as what they count since their start. It is forgotten when the process ends;
// series start again at zero then, with a later start timestamp. Its methods may
// be called together.
//
// A point at the time of the one before it is the same point sent again: it is
// answered with the sum that it is part of already, so retries do no harm.
type Deltas struct {
	options DeltaOptions

	mu      sync.Mutex
	streams map[string]*stream
	idle    list.List // of *stream, the one that is silent for longest in front
	key     []byte
}

// DeltaOptions tune Deltas. The zero value works.
type DeltaOptions struct {
	// SeriesMax bounds the series that are added up; default 100,000. More are
	// refused. A series of floats takes about 300 bytes.
	SeriesMax int
	// IdleMax is after which time without a point a series is forgotten; default
	// one hour.
	IdleMax time.Duration
	Now     func() time.Time // default time.Now
}

// stream is what is known of a series.
type stream struct {
	key       string
	start, at int64 // of the sum and of its latest part, in milliseconds
	sum       float64
	histogram *histogram.FloatHistogram
	heard     time.Time
	place     *list.Element
}

// delta is when a difference came to be.
type delta struct {
	start, at int64 // milliseconds
	stale     bool  // the series ends
}

// NewDeltas returns an empty Deltas.
func NewDeltas(o DeltaOptions) *Deltas {
	if o.SeriesMax == 0 {
		o.SeriesMax = 100_000
	}
	if o.IdleMax == 0 {
		o.IdleMax = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Deltas{options: o, streams: map[string]*stream{}}
}

// Len returns how many series are being added up.
func (x *Deltas) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.streams)
}

// add adds v to a series and returns the sum and its start, or why it does not.
// A stale marker ends the series and is returned as it is.
func (x *Deltas) add(tenant series.TenantID, key series.Labels, d delta, v float64) (float64, int64, series.Reason) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, again, reason := x.streamLocked(tenant, key, d)
	if reason != "" || d.stale {
		return v, d.start, reason
	}
	if !again {
		s.sum += v
	}
	return s.sum, s.start, ""
}

// addHistogram is add for histograms. The sum is the caller's.
func (x *Deltas) addHistogram(tenant series.TenantID, key series.Labels, d delta, h *histogram.Histogram) (*histogram.FloatHistogram, int64, series.Reason) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, again, reason := x.streamLocked(tenant, key, d)
	if reason != "" || d.stale {
		return nil, d.start, reason
	}
	switch {
	case again:
	case s.histogram == nil:
		s.histogram = h.ToFloat(nil)
	default:
		piece := h.ToFloat(nil)
		if sum, _, _, err := s.histogram.Add(piece); err != nil { // other kinds of buckets
			s.histogram, s.start = piece, d.start
		} else {
			s.histogram = sum.Compact(0)
		}
	}
	if s.histogram == nil { // a number was sent for the same time
		return nil, 0, ReasonLateDelta
	}
	return s.histogram.Copy(), s.start, ""
}

// streamLocked finds or begins the series of a delta and moves it to the delta's
// time. again means that the delta is the one that came last.
func (x *Deltas) streamLocked(tenant series.TenantID, key series.Labels, d delta) (s *stream, again bool, reason series.Reason) {
	now := x.options.Now()
	x.forgetLocked(now)
	x.key = append(binary.BigEndian.AppendUint32(x.key[:0], uint32(tenant)), key...)
	s, known := x.streams[string(x.key)]
	switch {
	case d.stale:
		if known {
			x.dropLocked(s)
		}
		return nil, false, ""
	case known && (d.at < s.at || d.start != 0 && d.start < s.start):
		return nil, false, ReasonLateDelta
	case known:
		again = d.at == s.at
		x.idle.MoveToBack(s.place)
	case len(x.streams) >= x.options.SeriesMax:
		return nil, false, ReasonTooManyDeltas
	default:
		s = &stream{key: string(x.key), start: d.start}
		if s.start == 0 {
			s.start = d.at
		}
		s.place = x.idle.PushBack(s)
		x.streams[s.key] = s
	}
	s.at, s.heard = d.at, now
	return s, again, ""
}

// forgetLocked drops the series that have been silent for too long.
func (x *Deltas) forgetLocked(now time.Time) {
	for e := x.idle.Front(); e != nil; e = x.idle.Front() {
		s := e.Value.(*stream)
		if now.Sub(s.heard) <= x.options.IdleMax {
			return
		}
		x.dropLocked(s)
	}
}

func (x *Deltas) dropLocked(s *stream) {
	x.idle.Remove(s.place)
	delete(x.streams, s.key)
}

// deltaProblem puts a refusal into words.
func deltaProblem(reason series.Reason, d delta) string {
	if reason == ReasonTooManyDeltas {
		return "too many series of delta temporality are being added up"
	}
	return fmt.Sprintf("a delta from %d to %d ms is older than what was added up", d.start, d.at)
}
