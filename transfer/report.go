package transfer

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/varve-db/varve/series"
)

// Report says what an import did.
type Report struct {
	Source, Target                 string
	Parts, Skipped                 int // read, and done by an import before
	Series                         int // distinct ones; see SeriesMore
	SeriesMore                     bool
	Samples, Histograms, Exemplars int // that the server confirmed
	Lost                           []Loss
	Requests, Retries              int
	Bytes                          int64 // sent
	Took                           time.Duration
}

// LostTotal returns how much was lost.
func (r Report) LostTotal() int {
	n := 0
	for _, l := range r.Lost {
		n += l.N
	}
	return n
}

// WriteText writes the report for a reader.
func (r Report) WriteText(w io.Writer) error {
	var s strings.Builder
	more := ""
	if r.SeriesMore {
		more = "more than "
	}
	fmt.Fprintf(&s, "%s\n  series      %s%d\n  samples     %d\n", r.Source, more, r.Series, r.Samples)
	fmt.Fprintf(&s, "  histograms  %d\n  exemplars   %d\n", r.Histograms, r.Exemplars)
	fmt.Fprintf(&s, "  parts       %d", r.Parts)
	if r.Skipped > 0 {
		fmt.Fprintf(&s, ", and %d that were done before", r.Skipped)
	}
	fmt.Fprintf(&s, "\n  requests    %d, %.1f MiB, %d sent again\n", r.Requests, float64(r.Bytes)/(1<<20), r.Retries)
	fmt.Fprintf(&s, "  took        %s, %.0f samples/s\n", r.Took.Round(time.Millisecond), float64(r.Samples+r.Histograms)/max(r.Took.Seconds(), 1e-3))
	if len(r.Lost) == 0 {
		s.WriteString("  lost        nothing\n")
	}
	for _, l := range r.Lost {
		fmt.Fprintf(&s, "  lost        %d (%s): %s\n", l.N, l.Reason, l.Example)
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// seriesMax bounds the hashes by which series are told apart.
const seriesMax = 4 << 20

// counts is a report in the making.
type counts struct {
	mu     sync.Mutex
	r      Report
	series map[uint64]struct{}
}

func newCounts(source, target string) *counts {
	return &counts{r: Report{Source: source, Target: target}, series: map[uint64]struct{}{}}
}

func (c *counts) report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.r
	r.Series, r.Lost = len(c.series), slices.Clone(c.r.Lost)
	return r
}

// read takes note of the series of a batch.
func (c *counts) read(b *series.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range b.Rows {
		if len(c.series) >= seriesMax {
			c.r.SeriesMore = true
			break
		}
		c.series[xxh3.Hash(b.Labels(i))] = struct{}{}
	}
}

func (c *counts) skip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Skipped++
}

func (c *counts) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Parts++
}

func (c *counts) request(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Requests++
	c.r.Bytes += int64(bytes)
}

func (c *counts) retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Retries++
}

// wrote counts what the server wrote of a request, and why not all of it.
func (c *counts) wrote(q request, written [3]int, text string) {
	missing := q.samples + q.histograms + q.exemplars - written[0] - written[1] - written[2]
	for _, l := range losses(text, missing) {
		c.lose(l)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Samples += written[0]
	c.r.Histograms += written[1]
	c.r.Exemplars += written[2]
}

func (c *counts) lose(l Loss) {
	if l.N <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.r.Lost {
		if c.r.Lost[i].Reason == l.Reason {
			c.r.Lost[i].N += l.N
			return
		}
	}
	const shown = 300
	if len(l.Example) > shown {
		l.Example = l.Example[:shown] + "..."
	}
	c.r.Lost = append(c.r.Lost, l)
}
