//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
)

// TestRemoteWriteThroughKills lets Prometheus write to a server that is killed
// time and again, and compares what both hold and what both answer.
func TestRemoteWriteThroughKills(t *testing.T) {
	if os.Getenv("E2E_WITHOUT_SENDERS") != "" {
		t.Skip("E2E_WITHOUT_SENDERS is set")
	}
	t.Parallel()
	random := dice(t)
	n := newNode(t)
	began := time.Now().Add(-time.Minute) // the zoo may reach back before the start
	s := startSenders(t, n)
	wait(t, "Varve has a sample of each target", func() bool { return len(n.vector("up")) == 3 })
	crashes := crash(t, n, s, random)
	awaitMetadata(t, n, s)
	s.stopScraping(n)
	wait(t, "Prometheus has sent everything", s.drained)

	all := span{began.UnixMilli(), time.Now().UnixMilli()}
	want := s.read(all, everything)
	t.Logf("Prometheus has %d samples of %d series; the server was killed %d times", want.samples(), len(want), crashes)
	// What the sender has counted as sent it may still be sending again.
	if !eventually(patience/3, func() bool { return len(differences(want, n.read(all, everything))) == 0 }) {
		wantSame(t, "after the last kill", want, n.read(all, everything))
	}
	wantSame(t, "streamed chunks", want, n.readChunks(all, everything))
	checkUp(t, want, n.read(all, equals("__name__", "up")))
	checkStale(t, want)

	zoo := writeZoo(t, n, all)
	maps.Copy(want, zoo)
	reference := newReference(t, want)
	t.Run("promql in memory", func(t *testing.T) { comparePromQL(t, n, reference, all) })
	n.flush()
	t.Run("promql flushed", func(t *testing.T) { comparePromQL(t, n, reference, all) })
	n.kill()
	n.restart()
	wantSame(t, "flushed and killed", want, n.read(all, everything))
}

// crash kills the server at random moments while the senders send, once it stops
// it gracefully, and returns how often it was killed.
func crash(t *testing.T, n *node, s *senders, random *rand.Rand) int {
	const every = 6 * time.Second // on average
	end := time.Now().Add(sendingTime(t))
	crashes, graceful := 0, 1+random.IntN(3)
	for turn := 1; ; turn++ {
		s.expose(turn)
		pause := time.Duration(float64(every) * (0.5 + random.Float64()))
		if time.Until(end) < pause {
			time.Sleep(time.Until(end)) // this is the time that senders send
			return crashes
		}
		time.Sleep(pause)
		if turn == graceful {
			n.stopGracefully()
		} else {
			n.kill()
			crashes++
		}
		// Sometimes the senders notice and have to try again and again.
		time.Sleep(time.Duration(random.Int64N(int64(2 * time.Second))))
		n.restart()
		if random.IntN(2) == 0 {
			n.flush()
		}
	}
}

// checkUp compares when targets were scraped: no scrape is missing.
func checkUp(t *testing.T, want, got recording) {
	t.Helper()
	for _, w := range want {
		if w.labels[0].Value != "up" {
			continue
		}
		g := got[nameOf(w.labels)]
		if g == nil {
			t.Errorf("%s is missing", nameOf(w.labels))
			continue
		}
		times := func(s []prompb.Sample) (all []int64, widest int64) {
			for i := range s {
				all = append(all, s[i].Timestamp)
				if i > 0 {
					widest = max(widest, s[i].Timestamp-s[i-1].Timestamp)
				}
			}
			return all, widest
		}
		wantTimes, wantWidest := times(w.samples)
		gotTimes, gotWidest := times(g.samples)
		t.Logf("%s: %d samples, at most %d ms apart", nameOf(w.labels), len(gotTimes), gotWidest)
		if gotWidest > wantWidest || !slices.Equal(wantTimes, gotTimes) {
			t.Errorf("%s: a gap of %d ms, Prometheus has one of %d ms", nameOf(w.labels), gotWidest, wantWidest)
		}
	}
}

// checkStale makes sure that the comparison covered markers of the end of series.
func checkStale(t *testing.T, all recording) {
	t.Helper()
	markers := 0
	for _, s := range all {
		for _, sample := range s.samples {
			if value.IsStaleNaN(sample.Value) {
				markers++
			}
		}
	}
	if markers < len(all)/2 {
		t.Errorf("there are %d stale markers in %d series: the end of the targets was not recorded", markers, len(all))
	}
}

// description is what is known about a metric.
type description struct{ Type, Unit, Help string }

// awaitMetadata waits until the server describes every metric as one of
// Prometheus's targets does.
func awaitMetadata(t *testing.T, n *node, s *senders) {
	t.Helper()
	var missing []string
	done := eventually(patience/2, func() bool {
		want, got := map[string][]description{}, map[string][]description{}
		get := func(e endpoint, into *map[string][]description) {
			answer := e.get("/api/v1/metadata").want(t, "metadata", 200).envelope(t)
			unmarshal(t, answer.Data, into)
		}
		get(s.endpoint, &want)
		get(n.endpoint, &got)
		missing = missing[:0]
		for metric, all := range want {
			if len(got[metric]) != 1 || !slices.Contains(all, got[metric][0]) {
				missing = append(missing, fmt.Sprintf("%s: %v, not one of %v", metric, got[metric], all))
			}
		}
		return len(want) > 100 && len(missing) == 0
	})
	if !done {
		t.Errorf("%d metrics are not described as in Prometheus: %.500q", len(missing), missing)
	}
}
