package index

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

func ofMetric(metric string, i int) labels.Labels {
	return labels.FromStrings("__name__", metric, "i", fmt.Sprint(i))
}

func TestResolveWithin(t *testing.T) {
	table := New(Options{})
	table.Resolve(0, batchOf(t, ofMetric("a", 0), ofMetric("a", 1)), 1, nil)
	var asked []int
	b := batchOf(t, ofMetric("a", 1), ofMetric("a", 2), ofMetric("b", 0), ofMetric("a", 3), ofMetric("a", 2))
	refs, created := table.ResolveWithin(0, b, 1, nil, func(c *Newcomer) bool {
		asked = append(asked, c.Row)
		return c.Have < 3
	})
	if created != 1 || fmt.Sprint(asked) != "[1 2 3]" || refs[0] == 0 || refs[1] == 0 || refs[2] != 0 || refs[3] != 0 || refs[4] != refs[1] {
		t.Errorf("created %d, asked about %v, refs %v", created, asked, refs)
	}
	// What is known is not asked about, and those turned away come with more room.
	again, created := table.ResolveWithin(0, b, 1, nil, func(c *Newcomer) bool { return c.Row != 3 })
	if created != 1 || again[0] != refs[0] || again[1] != refs[1] || again[2] == 0 || again[3] != 0 {
		t.Errorf("created %d, refs %v", created, again)
	}
}

// TestMetricHas compares the counts of metrics with a plain map, while series of
// several tenants come and go.
func TestMetricHas(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 7))
		table := New(Options{})
		alive := map[series.TenantID]map[string]map[int]bool{0: {}, 5: {}}
		epoch := uint32(1)
		for step := range 300 {
			tenant := series.TenantID(r.IntN(2) * 5)
			metric, i := fmt.Sprint("m", r.IntN(4)), r.IntN(400)
			limit := 1 + r.IntN(60)
			have := len(alive[tenant][metric])
			var admitted, asked bool
			table.ResolveWithin(tenant, batchOf(t, ofMetric(metric, i)), epoch, nil, func(c *Newcomer) bool {
				asked = true
				total := 0
				for _, of := range alive[tenant] {
					total += len(of)
				}
				if c.Have != total {
					t.Fatalf("seed %d, step %d: %d series of tenant %d, want %d", seed, step, c.Have, tenant, total)
				}
				if got := c.MetricHas(limit); got != (have >= limit) {
					t.Fatalf("seed %d, step %d: at least %d is %v, there are %d", seed, step, limit, got, have)
				}
				admitted = have < limit
				return admitted
			})
			if asked == alive[tenant][metric][i] {
				t.Fatalf("seed %d, step %d: asked about a known series: %v", seed, step, asked)
			}
			if admitted || !asked {
				if alive[tenant][metric] == nil {
					alive[tenant][metric] = map[int]bool{}
				}
				alive[tenant][metric][i] = true
			}
			if step%97 == 96 { // all go
				epoch++
				table.Sweep(epoch, func([]Ref) {})
				clear(alive[0])
				clear(alive[5])
			}
		}
	}
}
