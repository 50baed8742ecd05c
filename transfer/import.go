package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/varve-db/varve/series"
)

// Source is where samples come from.
type Source interface {
	// Name says what is read, in the state of an import as to a reader.
	Name() string
	// Parts lists what there is, in an order that stays.
	Parts(ctx context.Context) ([]Part, error)
	// Read reads a part into a sink.
	Read(ctx context.Context, p Part, to Sink) error
	Close() error
}

// Part is a piece of a source that is either done or not.
type Part struct {
	Name string
	Size int64 // in a unit of the source; it weighs parts against each other

	index    int   // of what the source has
	from, to int64 // times in milliseconds, both included, or offsets, half-open
}

// Sink takes what a source reads.
type Sink interface {
	// Batch takes what b holds; b may be reused afterwards.
	Batch(b *series.Batch) error
	// Lost takes note of something that cannot be sent.
	Lost(l Loss)
}

// Loss is something that was left out, as often as n.
type Loss struct {
	Reason  string
	N       int
	Example string // the first of the reason
}

// Options tune an import. The zero value works.
type Options struct {
	// Connections is how many requests are under way together; default 2.
	Connections int
	// State is the file in which is kept which parts are done, so that another
	// import of the same source goes on from there; empty: none. A part of which
	// something was lost is not done.
	State string
	// Progress gets a line that rewrites itself; nil for none.
	Progress io.Writer
	Now      func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	if o.Connections <= 0 {
		o.Connections = 2
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// request is a remote write request and what it holds.
type request struct {
	body                           []byte
	samples, histograms, exemplars int
	done                           *sync.WaitGroup
}

// run is an import under way.
type run struct {
	target   *Target
	queue    chan request
	cancel   context.CancelCauseFunc
	ctx      context.Context
	part     sync.WaitGroup // the requests of the part at hand
	counts   *counts
	progress *progress
}

// Import reads all of from and sends it. The report says what came of it, also
// with an error; without one something may still have been refused.
func Import(ctx context.Context, from Source, to *Target, o Options) (Report, error) {
	o = o.withDefaults()
	began := o.Now()
	c := newCounts(from.Name(), to.URL)
	err := runImport(ctx, from, to, o, c)
	report := c.report()
	report.Took = o.Now().Sub(began)
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, context.Canceled) {
		err = cause
	}
	return report, err
}

func runImport(ctx context.Context, from Source, to *Target, o Options, c *counts) error {
	parts, err := from.Parts(ctx)
	if err != nil {
		return fmt.Errorf("list what %s has: %w", from.Name(), err)
	}
	s, err := loadState(o.State, from.Name(), to.URL)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{
		target: to, queue: make(chan request, o.Connections), ctx: inner, cancel: cancel, counts: c,
		progress: newProgress(o.Progress, o.Now, parts, c),
	}
	var senders sync.WaitGroup
	for range o.Connections {
		senders.Go(r.send)
	}
	stop := r.progress.start()
	err = r.read(from, parts, s)
	close(r.queue)
	senders.Wait()
	stop()
	if cause := context.Cause(inner); cause != nil {
		return cause
	}
	return err
}

// read reads the parts that are not done yet, one after the other.
func (r *run) read(from Source, parts []Part, s *state) error {
	for i, p := range parts {
		r.progress.at(i)
		if s.isDone(p.Name) {
			r.counts.skip()
			continue
		}
		lostBefore := r.counts.report().LostTotal()
		err := from.Read(r.ctx, p, r)
		r.part.Wait()
		if cause := context.Cause(r.ctx); cause != nil {
			return cause
		}
		if err != nil {
			return fmt.Errorf("read %s of %s: %w", p.Name, from.Name(), err)
		}
		r.counts.finish()
		if r.counts.report().LostTotal() > lostBefore {
			continue // an import that goes on from here must tell it too
		}
		if err := s.finish(p.Name); err != nil {
			return err
		}
	}
	r.progress.at(len(parts))
	return nil
}

// Batch implements Sink.
func (r *run) Batch(b *series.Batch) error {
	if len(b.Rows) == 0 && len(b.Metadata) == 0 {
		return nil
	}
	q := requestOf(b)
	q.done = &r.part
	r.counts.read(b)
	r.part.Add(1)
	select {
	case r.queue <- q:
		return nil
	case <-r.ctx.Done():
		r.part.Done()
		return context.Cause(r.ctx)
	}
}

// Lost implements Sink.
func (r *run) Lost(l Loss) { r.counts.lose(l) }

// send sends what is queued until the queue is closed. After a failure that is
// final it only empties the queue.
func (r *run) send() {
	for q := range r.queue {
		if r.ctx.Err() == nil {
			if err := r.target.write(r.ctx, q, r.counts); err != nil {
				r.cancel(err)
			}
		}
		q.done.Done()
	}
}
