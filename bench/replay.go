package bench

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/value"
)

// ReplayOptions says how a capture is sent again.
type ReplayOptions struct {
	Protocol          Protocol
	SamplesPerRequest int
	Connections       int
	Start             int64 // where the first sample is moved to; 0 leaves the times alone
	Copies            int   // the capture is sent so many times over, told apart by label copy
	Labels            []Label
}

// replayAhead is how many bodies a connection has encoded before they are due.
const replayAhead = 8

// NewReplay returns a source for every connection that has something to send.
// The series of a scrape target go through the same connection. Sources encode
// ahead once Next has been called; they stop when its context is done.
func NewReplay(capture []Captured, o ReplayOptions) ([]Source, error) {
	if o.SamplesPerRequest < 1 || o.Connections < 1 {
		return nil, fmt.Errorf("%d samples per request over %d connections: both must be at least 1", o.SamplesPerRequest, o.Connections)
	}
	shift, err := replayShift(capture, o.Start)
	if err != nil {
		return nil, err
	}
	shares := make([]*replaySource, o.Connections)
	for copyNumber := range max(o.Copies, 1) {
		for _, c := range capture {
			s, err := newReplaySeries(c, copyNumber, o)
			if err != nil {
				return nil, err
			}
			at := (c.Group + copyNumber) % o.Connections
			if shares[at] == nil {
				shares[at] = newReplaySource(shift, o)
			}
			shares[at].add(copyNumber*(captureGroupMax+1)+c.Group, s)
		}
	}
	var sources []Source
	for _, share := range shares {
		if share != nil {
			sources = append(sources, share)
		}
	}
	return sources, nil
}

func replayShift(capture []Captured, start int64) (int64, error) {
	first, last, ok := CaptureRange(capture)
	if !ok {
		return 0, fmt.Errorf("%w: it has no samples", ErrCapture)
	}
	shift := int64(0)
	if start != 0 {
		shift = start - first
	}
	if err := checkTimestamp(first + shift); err != nil {
		return 0, err
	}
	return shift, checkTimestamp(last + shift)
}

// replaySeries is a series that is being sent again.
type replaySeries struct {
	Captured
	labels  []Label
	encoded []byte // the labels for remote write 1.0
	next    int    // sample to send
}

func newReplaySeries(c Captured, copyNumber int, o ReplayOptions) (*replaySeries, error) {
	ls, err := ParseSeries(c.Name)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(ls, func(l Label) bool { return l.Name == "instance" }) {
		ls = append(ls, Label{"instance", "target-" + strconv.Itoa(c.Group)})
	}
	if copyNumber > 0 {
		ls = setLabel(ls, "copy", strconv.Itoa(copyNumber))
	}
	for _, l := range o.Labels {
		ls = setLabel(ls, l.Name, l.Value)
	}
	sortLabels(ls)
	return &replaySeries{Captured: c, labels: ls, encoded: appendLabels(nil, ls)}, nil
}

// replayTarget is a scrape target with its series.
type replayTarget struct {
	series []*replaySeries
	due    int64 // time of its next scrape
}

// replayDone is when a target with nothing left is due.
const replayDone = int64(math.MaxInt64)

func (t *replayTarget) schedule() {
	t.due = replayDone
	for _, s := range t.series {
		if s.next < len(s.Timestamps) {
			t.due = min(t.due, s.Timestamps[s.next])
		}
	}
}

// replaySource encodes the samples of its targets in the order of time.
type replaySource struct {
	targets map[int]*replayTarget
	shift   int64
	options ReplayOptions

	start  sync.Once
	bodies chan Body
	free   chan []byte // memory of bodies that were sent
	sent   []byte

	encoder encoder
	samples int   // in the open body
	stale   int   // of these
	time    int64 // of its first one
}

func newReplaySource(shift int64, o ReplayOptions) *replaySource {
	return &replaySource{
		targets: map[int]*replayTarget{}, shift: shift, options: o,
		bodies: make(chan Body, replayAhead), free: make(chan []byte, replayAhead),
	}
}

func (r *replaySource) add(target int, s *replaySeries) {
	t := r.targets[target]
	if t == nil {
		t = &replayTarget{}
		r.targets[target] = t
	}
	t.series = append(t.series, s)
}

// FirstPass implements Source; a capture's series come and go.
func (r *replaySource) FirstPass() int { return 0 }

// Next implements Source.
func (r *replaySource) Next(ctx context.Context) (Body, bool) {
	r.start.Do(func() { go r.encode(ctx) })
	if r.sent != nil {
		select {
		case r.free <- r.sent:
		default:
		}
	}
	select {
	case b, ok := <-r.bodies:
		r.sent = b.Bytes
		return b, ok
	case <-ctx.Done():
		return Body{}, false
	}
}

// encode fills bodies until all is sent or ctx is done.
func (r *replaySource) encode(ctx context.Context) {
	defer close(r.bodies)
	var targets []*replayTarget
	for _, number := range slices.Sorted(maps.Keys(r.targets)) {
		t := r.targets[number]
		t.schedule()
		targets = append(targets, t)
	}
	r.encoder.reset(r.options.Protocol)
	for {
		t := slices.MinFunc(targets, func(x, y *replayTarget) int { return cmp.Compare(x.due, y.due) })
		if t.due == replayDone {
			break
		}
		for _, s := range t.series {
			if s.next == len(s.Timestamps) || s.Timestamps[s.next] != t.due {
				continue
			}
			if !r.append(ctx, s) {
				return
			}
			s.next++
		}
		t.schedule()
	}
	if r.samples > 0 {
		r.finish(ctx)
	}
}

// append adds the next sample of s to the open body.
func (r *replaySource) append(ctx context.Context, s *replaySeries) bool {
	at := s.Timestamps[s.next] + r.shift
	if r.samples == 0 {
		r.time = at
	}
	if r.options.Protocol == RemoteWrite1 {
		r.encoder.labelled(0x0a, s.encoded, at, s.Values[s.next])
	} else {
		r.encoder.series(s.labels, at, s.Values[s.next])
	}
	r.samples++
	if math.Float64bits(s.Values[s.next]) == value.StaleNaN {
		r.stale++
	}
	return r.samples < r.options.SamplesPerRequest || r.finish(ctx)
}

// finish hands the open body on, and reports whether there is use for more.
func (r *replaySource) finish(ctx context.Context) bool {
	var memory []byte
	select {
	case memory = <-r.free:
	default:
	}
	plain, _ := r.encoder.plain()
	b := Body{
		Bytes:   s2.EncodeSnappy(memory[:cap(memory)], plain),
		Plain:   len(plain),
		Samples: r.samples,
		Stale:   r.stale,
		Time:    r.time,
	}
	r.samples, r.stale = 0, 0
	r.encoder.reset(r.options.Protocol)
	if ctx.Err() != nil { // else room among the bodies might be found as well
		return false
	}
	select {
	case r.bodies <- b:
		return true
	case <-ctx.Done():
		return false
	}
}

// CaptureRange returns the times of the first and the last sample of a capture
// in milliseconds, and false if it has none.
func CaptureRange(capture []Captured) (first, last int64, ok bool) {
	for _, c := range capture {
		for _, t := range c.Timestamps {
			if !ok {
				first, last, ok = t, t, true
			}
			first, last = min(first, t), max(last, t)
		}
	}
	return first, last, ok
}
