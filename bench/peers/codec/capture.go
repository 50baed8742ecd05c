package codec

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/varve-db/varve/bench"
)

// chunk is a stretch of a series that becomes one chunk.
type chunk struct {
	series int // in the order of sealing
	metric string
	target int // series of a target share most of their timestamps
	bucket bool
	times  []int64
	values []float64
}

// capture is a set of series cut into chunks. A part holds what a range of time
// has of each series, as it is sealed together.
type capture struct {
	parts   [][]chunk
	chunks  int
	samples int
}

// readSeries reads a capture and sorts it as it is sealed: by metric and labels,
// the buckets of a histogram from the lowest bound to the highest.
func readSeries(path string) ([]bench.Captured, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open capture: %w", err)
	}
	defer f.Close()
	series, err := bench.ReadCapture(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	keys := make(map[string]sortKey, len(series))
	for _, s := range series {
		keys[s.Name] = sortKeyOf(s.Name)
	}
	slices.SortStableFunc(series, func(a, b bench.Captured) int {
		return keys[a.Name].compare(keys[b.Name])
	})
	return series, nil
}

// sortKey is a name without the label le, and that label's number.
type sortKey struct {
	metric, labels string
	bucket         bool
	bound          float64
}

func sortKeyOf(name string) sortKey {
	var k sortKey
	k.metric, k.labels, _ = strings.Cut(name, "{")
	from := strings.Index("{"+k.labels, `le="`)
	if from < 1 || !strings.ContainsRune("{,", rune(("{" + k.labels)[from-1])) {
		return k
	}
	from-- // in labels
	text, rest, _ := strings.Cut(k.labels[from+len(`le="`):], `"`)
	if bound, err := strconv.ParseFloat(text, 64); err == nil {
		k.bucket, k.bound = true, bound
		k.labels = k.labels[:from] + rest
	}
	return k
}

func (k sortKey) compare(other sortKey) int {
	return cmp.Or(cmp.Compare(k.metric, other.metric), cmp.Compare(k.labels, other.labels), cmp.Compare(k.bound, other.bound))
}

// cut cuts series into chunks of at most n samples. The cuts are made in time,
// where the longest series of a target has n samples more.
func cut(series []bench.Captured, n int) *capture {
	longest := map[int][]int64{}
	for _, s := range series {
		if len(s.Timestamps) > len(longest[s.Group]) {
			longest[s.Group] = s.Timestamps
		}
	}
	c := &capture{}
	for number, s := range series {
		key, timeline := sortKeyOf(s.Name), longest[s.Group]
		for from, part := 0, 0; from < len(s.Values); part++ {
			end := len(s.Values)
			if next := (part + 1) * n; next < len(timeline) {
				end = sort.Search(end, func(i int) bool { return s.Timestamps[i] >= timeline[next] })
			}
			for ; from < end; from = min(end, from+n) {
				to := min(end, from+n)
				c.add(part, chunk{
					series: number, metric: key.metric, target: s.Group, bucket: key.bucket,
					times: s.Timestamps[from:to], values: s.Values[from:to],
				})
			}
		}
	}
	return c
}

func (c *capture) add(part int, k chunk) {
	for len(c.parts) <= part {
		c.parts = append(c.parts, nil)
	}
	c.parts[part] = append(c.parts[part], k)
	c.chunks++
	c.samples += len(k.values)
}
