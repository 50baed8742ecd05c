//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"
)

// fleet is a number of writers that send numbered requests at the same time, and
// note which were acknowledged.
type fleet struct {
	t       testing.TB
	base    int64 // milliseconds; request k has the time base + k
	writers []*writer
	cancel  context.CancelFunc
	ended   sync.WaitGroup
}

// writer sends request 1, 2, 3 and so on.
type writer struct {
	id      int
	base    int64
	url     string
	retries bool // send again what was not acknowledged, as most senders do

	mu    sync.Mutex
	sent  int    // requests that may have reached the server
	acked []bool // by request
	count int    // requests acknowledged
	err   error  // the reply that no sender may get
}

// startFleet starts writers; every other one tries each request only once. The
// fleet stops with the test at the latest.
func startFleet(t testing.TB, url string, writers int) *fleet {
	ctx, cancel := context.WithCancel(context.Background())
	f := &fleet{t: t, base: time.Now().Add(-time.Hour).UnixMilli(), cancel: cancel}
	for id := range writers {
		w := &writer{id: id, base: f.base, url: url, retries: id%2 == 0}
		f.writers = append(f.writers, w)
		f.ended.Go(func() { w.run(ctx) })
	}
	t.Cleanup(f.stop)
	return f
}

// stop ends the writers and waits for them. It may be called twice.
func (f *fleet) stop() {
	f.cancel()
	f.ended.Wait()
}

const numberMetric = "e2e_number"

// request returns the series of request k: one that only this request has now
// and then, one that every fifth has, one that all have.
func (w *writer) request(k int) []prompb.TimeSeries {
	id := strconv.Itoa(w.id)
	series := func(lane string, v float64) prompb.TimeSeries {
		return prompb.TimeSeries{
			Labels:  labelsOf(numberMetric, "lane", lane, "writer", id),
			Samples: []prompb.Sample{{Timestamp: w.base + int64(k), Value: v}},
		}
	}
	all := []prompb.TimeSeries{series("all", float64(k)), series(strconv.Itoa(k%5), -float64(k)/3)}
	if k%10 == 0 {
		all = append(all, series("new "+strconv.Itoa(k), float64(k)+0.5))
	}
	return all
}

func (w *writer) run(ctx context.Context) {
	for k := 1; ctx.Err() == nil; k++ {
		body, err := encodeWrite(w.request(k))
		if err != nil {
			w.fail(err)
			return
		}
		w.begin(k)
		for ctx.Err() == nil {
			if w.deliver(body) {
				w.acknowledge(k)
				break
			}
			pause(ctx, 5*time.Millisecond)
			if !w.retries {
				break
			}
		}
	}
}

// deliver sends a request once and reports whether it was acknowledged.
func (w *writer) deliver(body []byte) bool {
	r, err := send(http.MethodPost, w.url+"/api/v1/write", writeV1Type, body, "Content-Encoding", "snappy")
	switch {
	case err != nil: // the server is down, or was killed in the middle
		return false
	case r.status == http.StatusNoContent:
		return true
	case r.status < 500:
		w.fail(fmt.Errorf("status %d: %.300s", r.status, r.body))
	}
	return false
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (w *writer) begin(k int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent, w.acked = k, append(w.acked, false)
}

func (w *writer) acknowledge(k int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked[k-1] = true
	w.count++
}

func (w *writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// failure returns the reply that no sender may get, or nil.
func (w *writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// progress returns how many requests were sent and which were acknowledged.
func (w *writer) progress() (sent int, acked []bool, count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent, slices.Clone(w.acked), w.count
}

// awaitProgress waits until each writer got some more acknowledgements.
func (f *fleet) awaitProgress(n *node) {
	f.t.Helper()
	var before []int
	for _, w := range f.writers {
		_, _, count := w.progress()
		before = append(before, count)
	}
	wait(f.t, "every writer has written", func() bool {
		if n.ended() {
			f.t.Fatalf("the server ended by itself: %v\n%s", n.err, n.output)
		}
		for i, w := range f.writers {
			if _, _, count := w.progress(); count < before[i]+3 {
				return false
			}
		}
		return true
	})
}

// tally is what a check found.
type tally struct{ samples, acknowledged, unconfirmed, halves int }

// check compares what the server has with what was sent: every acknowledged
// sample is there, and nothing that was not sent.
func (f *fleet) check(n *node) tally {
	f.t.Helper()
	acked := make([][]bool, len(f.writers)) // before the read: these must be there
	longest := 0
	for i, w := range f.writers {
		_, acked[i], _ = w.progress()
	}
	// A writer may send more than this before the read, which reaches further.
	for i := range acked {
		longest = max(longest, len(acked[i]))
	}
	const ahead = 60_000
	got := n.read(span{f.base, f.base + int64(longest) + ahead}, equals("__name__", numberMetric))
	var found tally
	var d differ
	for i, w := range f.writers {
		if err := w.failure(); err != nil {
			f.t.Errorf("writer %d: %v", i, err)
		}
		f.checkWriter(w, acked[i], got, &found, &d)
	}
	for name := range got {
		d.add("%s is there and was never sent, with %d samples", name, len(got[name].samples))
	}
	if len(d.list) > 0 {
		f.t.Errorf("%d differences or more: %q", len(d.list)+d.more, d.list)
	}
	return found
}

// checkWriter takes the series of a writer out of got.
func (f *fleet) checkWriter(w *writer, acked []bool, got recording, found *tally, d *differ) {
	have := map[string]map[int64]float64{}
	for name, s := range got {
		if s.labels[len(s.labels)-1].Value != strconv.Itoa(w.id) {
			continue
		}
		have[name] = map[int64]float64{}
		for _, sample := range s.samples {
			have[name][sample.Timestamp] = sample.Value
		}
		found.samples += len(s.samples)
		delete(got, name)
	}
	sent, _, _ := w.progress()
	for k := 1; k <= sent; k++ {
		must := k <= len(acked) && acked[k-1]
		request := w.request(k)
		present := 0
		for _, s := range request {
			name, want := nameOf(s.Labels), s.Samples[0]
			v, there := have[name][want.Timestamp]
			switch {
			case there && v != want.Value:
				d.add("%s at request %d is %v, not %v", name, k, v, want.Value)
			case !there && must:
				d.add("%s: acknowledged request %d is lost", name, k)
			}
			if there {
				present++
				delete(have[name], want.Timestamp)
			}
		}
		switch {
		case must:
			found.acknowledged++
		case present == len(request):
			found.unconfirmed++
		case present > 0:
			found.halves++
		}
	}
	for name, rest := range have {
		for at, v := range rest {
			d.add("%s has %v at request %d, which was not sent", name, v, at-f.base)
		}
	}
}
