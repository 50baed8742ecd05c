package transfer

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// progress shows how far an import is, in a line that rewrites itself.
type progress struct {
	to     io.Writer
	now    func() time.Time
	parts  []Part
	counts *counts
	total  int64
	part   atomic.Int64 // the one at hand
	began  time.Time
}

func newProgress(to io.Writer, now func() time.Time, parts []Part, c *counts) *progress {
	p := &progress{to: to, now: now, parts: parts, counts: c, began: now()}
	for _, one := range parts {
		p.total += one.Size
	}
	return p
}

// at says which part comes next.
func (p *progress) at(part int) { p.part.Store(int64(part)) }

// start shows the line twice a second until the function that it returns is
// called.
func (p *progress) start() (stop func()) {
	if p.to == nil {
		return func() {}
	}
	ended := make(chan struct{})
	var shown sync.WaitGroup
	shown.Go(func() {
		ticker := time.NewTicker(500 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				fmt.Fprint(p.to, "\r\x1b[K")
				return
			case <-ticker.C:
				fmt.Fprintf(p.to, "\r\x1b[K%s", p.line())
			}
		}
	})
	return func() {
		close(ended)
		shown.Wait()
	}
}

const barWidth = 24

// line is what is shown.
func (p *progress) line() string {
	r := p.counts.report()
	at := int(p.part.Load())
	var done int64
	for _, one := range p.parts[:at] {
		done += one.Size
	}
	share := float64(done) / float64(max(p.total, 1))
	bar := make([]rune, barWidth)
	for i := range bar {
		if bar[i] = '░'; float64(i) < share*barWidth {
			bar[i] = '█'
		}
	}
	name := ""
	if at < len(p.parts) {
		name = p.parts[at].Name
	}
	samples := r.Samples + r.Histograms
	rate := float64(samples) / max(p.now().Sub(p.began).Seconds(), 1e-3)
	return fmt.Sprintf("%s %3.0f %%  part %d of %d %s  %d samples, %.0f/s", string(bar), 100*share, min(at+1, len(p.parts)), len(p.parts), name, samples, rate)
}
