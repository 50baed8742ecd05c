package index

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

func randomSet(r *rand.Rand) labels.Labels {
	m := map[string]string{"__name__": fmt.Sprintf("m%d", r.IntN(5))}
	for _, name := range []string{"job", "pod", "x.y", "le"} {
		if r.IntN(3) > 0 {
			m[name] = []string{"a", "ab", "b", "A", "line\nbreak", fmt.Sprint(r.IntN(200))}[r.IntN(6)]
		}
	}
	return labels.FromMap(m)
}

func randomMatchers(r *rand.Rand) []*labels.Matcher {
	var ms []*labels.Matcher
	for range 1 + r.IntN(3) {
		name := []string{"__name__", "job", "pod", "x.y", "absent"}[r.IntN(5)]
		value := []string{"", "a", "m1", "a|b", "a.*", ".*", ".+", "a|", "m[0-3]", "(?i)a", "[0-9]+", "1.*|a", "ab?", "(a|b|m1)"}[r.IntN(14)]
		m, err := labels.NewMatcher(labels.MatchType(r.IntN(4)), name, value)
		if err != nil {
			panic(err)
		}
		ms = append(ms, m)
	}
	return ms
}

func batchOf(t *testing.T, sets ...labels.Labels) *series.Batch {
	t.Helper()
	var b series.Batch
	for _, ls := range sets {
		if reason, detail := b.AddSeries(ls); reason != "" {
			t.Fatal(detail)
		}
	}
	return &b
}

// TestTableIsAMap runs random requests, matches and sweeps against a plain map.
func TestTableIsAMap(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 3))
		table := New(Options{Seed: seed})
		seen := map[Ref]uint32{}        // ref -> epoch
		byLabels := map[string]Ref{}    // tenant and labels -> ref
		sets := map[Ref]labels.Labels{} // ref -> labels
		owner := map[Ref]series.TenantID{}
		pool := make([]labels.Labels, 3000)
		for i := range pool {
			pool[i] = randomSet(r)
		}
		for epoch := uint32(1); epoch < 12; epoch++ {
			for range 5 {
				tenant := series.TenantID(r.IntN(2))
				from := r.IntN(len(pool) - 300)
				batch := batchOf(t, pool[from:from+r.IntN(300)]...)
				refs, created := table.Resolve(tenant, batch, epoch, nil)
				for i, ref := range refs {
					ls := pool[from+i]
					key := fmt.Sprint(tenant, ls)
					if known, ok := byLabels[key]; ok && known != ref {
						t.Fatalf("seed %d: %s had ref %d, now %d", seed, key, known, ref)
					} else if !ok {
						if _, taken := sets[ref]; taken {
							t.Fatalf("seed %d: ref %d handed out twice", seed, ref)
						}
						created--
					}
					byLabels[key], sets[ref], owner[ref], seen[ref] = ref, ls, tenant, epoch
					if got := table.AppendLabels(nil, ref); string(got) != string(series.AppendLabels(nil, ls)) {
						t.Fatalf("seed %d: labels of %d are %v, want %v", seed, ref, got, ls)
					}
				}
				if created != 0 {
					t.Fatalf("seed %d: created is off by %d", seed, created)
				}
			}
			if epoch > 2 {
				table.Sweep(epoch-1, func(refs []Ref) {
					for _, ref := range refs {
						if seen[ref] >= epoch-1 {
							t.Fatalf("seed %d: swept %d, seen in %d", seed, ref, seen[ref])
						}
						if key := fmt.Sprint(owner[ref], sets[ref]); byLabels[key] == ref {
							delete(byLabels, key)
						}
						delete(sets, ref)
					}
				})
				// What is dead and not yet swept is out of sight too.
				for ref, ls := range sets {
					if key := fmt.Sprint(owner[ref], ls); seen[ref] < epoch-1 && byLabels[key] == ref {
						delete(byLabels, key)
					}
				}
			}
			for range 40 {
				checkMatch(t, r, seed, table, sets, owner, func(ref Ref) bool { return epoch <= 2 || seen[ref] >= epoch-1 })
			}
		}
	}
}

func checkMatch(t *testing.T, r *rand.Rand, seed uint64, table *Table, sets map[Ref]labels.Labels, owner map[Ref]series.TenantID, live func(Ref) bool) {
	t.Helper()
	tenant, ms := series.TenantID(r.IntN(2)), randomMatchers(r)
	var want []Ref
	names := map[string]struct{}{}
	for ref, ls := range sets {
		if owner[ref] != tenant || !live(ref) {
			continue
		}
		ls.Range(func(l labels.Label) { names[l.Name] = struct{}{} })
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) }) {
			want = append(want, ref)
		}
	}
	got := table.Match(tenant, ms, nil)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("seed %d: %v matched %d series, want %d", seed, ms, len(got), len(want))
	}
	gotNames := map[string]struct{}{}
	table.LabelNames(tenant, gotNames)
	if !maps.Equal(gotNames, names) {
		t.Fatalf("seed %d: names %v, want %v", seed, gotNames, names)
	}
	if len(want) == 0 {
		return
	}
	table.SortByLabels(got)
	if !slices.IsSortedFunc(got, func(a, b Ref) int { return labels.Compare(sets[a], sets[b]) }) {
		t.Fatalf("seed %d: not in label order", seed)
	}
	for _, pair := range table.Pairs(got, 100) {
		name, value, rest, ok := pair.Segment.CutPair()
		if !ok || len(rest) > 0 || len(pair.Positions) == 0 || !slices.IsSorted(pair.Positions) {
			t.Fatalf("seed %d: bad pair %v", seed, pair)
		}
		for _, p := range pair.Positions {
			if sets[got[p-100]].Get(string(name)) != string(value) {
				t.Fatalf("seed %d: series %d does not have %s=%s", seed, p, name, value)
			}
		}
	}
}

func TestRegistered(t *testing.T) {
	table := New(Options{})
	refs, _ := table.Resolve(0, batchOf(t, labels.FromStrings("__name__", "a"), labels.FromStrings("__name__", "b")), 5, nil)
	if rows := table.Registered(refs, 5, nil); !slices.Equal(rows, []int{0, 1}) {
		t.Fatalf("rows %v", rows)
	}
	table.SetRegistered(refs, []int{1}, 5)
	if rows := table.Registered(refs, 5, nil); !slices.Equal(rows, []int{0}) {
		t.Fatalf("rows %v", rows)
	}
	if rows := table.Registered(refs, 6, nil); len(rows) != 2 {
		t.Fatalf("rows %v", rows)
	}
}

func TestStats(t *testing.T) {
	table := New(Options{})
	for i := range 10 {
		table.Resolve(0, batchOf(t, labels.FromStrings("__name__", strings.Repeat("m", 1+i%3), "i", fmt.Sprint(i))), 1, nil)
	}
	s := table.Stats(0, 2)
	if s.Series != 10 || len(s.SeriesByMetric) != 2 || s.SeriesByMetric[0] != (Count{"m", 4}) || s.ValuesByLabel[0] != (Count{"i", 10}) {
		t.Fatalf("%+v", s)
	}
	// Other tenants count for themselves, also where they share labels.
	table.Resolve(7, batchOf(t, labels.FromStrings("__name__", "m", "i", "0"), labels.FromStrings("__name__", "own", "j", "x")), 1, nil)
	if again := table.Stats(0, 2); !reflect.DeepEqual(again, s) {
		t.Errorf("with another tenant %+v, without %+v", again, s)
	}
	want := Stats{
		Series: 2, Pairs: 4, DistinctLabels: 3, DistinctMetrics: 2,
		SeriesByMetric: []Count{{"m", 1}, {"own", 1}}, SeriesByPair: []Count{{"__name__=m", 1}, {"__name__=own", 1}, {"i=0", 1}, {"j=x", 1}},
		ValuesByLabel: []Count{{"__name__", 2}, {"i", 1}, {"j", 1}}, BytesByLabel: []Count{{"__name__", 4}, {"i", 1}, {"j", 1}},
	}
	if other := table.Stats(7, 5); !reflect.DeepEqual(other, want) {
		t.Errorf("the other tenant: got %+v, want %+v", other, want)
	}
	if n := table.SeriesByTenant(); n[0] != 10 || n[7] != 2 {
		t.Errorf("series by tenant: %v", n)
	}
	if swept := table.Sweep(2, func([]Ref) {}); swept != 0 || len(table.SeriesByTenant()) != 0 {
		t.Errorf("%d swept; after all series have gone: %v", swept, table.SeriesByTenant())
	}
}

func BenchmarkResolveSteady(b *testing.B) {
	var batch series.Batch
	const n = 10000
	for i := range n {
		batch.AddSeries(labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i%100), "job", "api", "namespace", "default",
			"pod", fmt.Sprintf("pod-%d-abcdef", i/100), "instance", fmt.Sprintf("10.0.0.%d:9100", i/100), "cluster", "eu-1"))
	}
	table := New(Options{Seed: 1})
	refs, _ := table.Resolve(0, &batch, 1, nil)
	for b.Loop() {
		refs, _ = table.Resolve(0, &batch, 1, refs[:0])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/series")
}

func BenchmarkResolveNew(b *testing.B) {
	var batch series.Batch
	const n = 100000
	for i := range n {
		batch.AddSeries(labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i%100), "job", "api", "namespace", "default",
			"pod", fmt.Sprintf("pod-%d-abcdef", i/100), "instance", fmt.Sprintf("10.0.0.%d:9100", i/100), "cluster", "eu-1"))
	}
	for b.Loop() {
		New(Options{Seed: 1}).Resolve(0, &batch, 1, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/series")
}
