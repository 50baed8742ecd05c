package relabel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/varve-db/varve/series"
)

// kept is an Appender that notes what it is given.
type kept struct {
	mu   sync.Mutex
	rows []string
	err  error
}

func (k *kept) Append(_ context.Context, _ series.TenantID, b *series.Batch) (series.Outcome, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out series.Outcome
	for i, row := range b.Rows {
		k.rows = append(k.rows, fmt.Sprint(b.Labels(i).String(), " ", b.Values[row.Samples.Start:row.Samples.End]))
		out.Samples += row.Samples.Len()
		out.Histograms += row.Histograms.Len()
		out.Exemplars += row.Exemplars.Len()
	}
	return out, k.err
}

func mustParse(t testing.TB, yaml string) Rules {
	t.Helper()
	rules, err := Parse([]byte(Key + ":\n" + yaml))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

const fiveRules = `
- {source_labels: [__name__], regex: go_gc_.*, action: drop}
- {source_labels: [job, instance], separator: "@", regex: "(.*)@(.*):.*", target_label: host, replacement: "$1-$2"}
- {regex: "k8s_(.+)", action: labelmap}
- {regex: "k8s_.*", action: labeldrop}
- {source_labels: [instance], modulus: 8, target_label: shard, action: hashmod}
`

func TestRulesChangeBatches(t *testing.T) {
	to := &kept{}
	r := New(to, mustParse(t, fiveRules), Options{})
	var b series.Batch
	for round := range 2 { // evaluated, then remembered
		b.Reset()
		add(t, &b, 1, "__name__", "up", "job", "a", "instance", "h1:80", "k8s_pod", "p")
		add(t, &b, 2, "__name__", "go_gc_seconds", "job", "a", "instance", "h1:80")
		b.AddHistogram(series.Histogram{Timestamp: 1, Int: &histogram.Histogram{}})
		add(t, &b, 3, "__name__", "plain")
		out, err := r.Append(context.Background(), 0, &b)
		if err != nil || out.Samples != 3 || out.Histograms != 1 || !out.Refused.Empty() {
			t.Fatalf("round %d: %+v, %v", round, out, err)
		}
	}
	want := []string{
		`{__name__="up", host="a-h1", instance="h1:80", job="a", pod="p", shard="4"} [1]`,
		`{__name__="plain", shard="6"} [3]`,
	}
	for i, got := range to.rows {
		if got != want[i%2] {
			t.Errorf("row %d: %s, want %s", i, got, want[i%2])
		}
	}
	if len(to.rows) != 4 {
		t.Errorf("%d rows", len(to.rows))
	}
	if n := testutil.ToFloat64(r.dropped); n != 4 {
		t.Errorf("%v samples dropped", n)
	}
	if n := testutil.ToFloat64(r.misses); n != 3 {
		t.Errorf("%v series evaluated", n)
	}
}

const doubling = `- {source_labels: [big], regex: "(.+)", target_label: more, replacement: "$1$1"}`

func TestWhatRulesSpoilIsRefused(t *testing.T) {
	to := &kept{}
	r := New(to, mustParse(t, "- {regex: __name__, action: labeldrop}\n"+doubling),
		Options{LabelRules: series.LabelRules{ValueBytesMax: 8}})
	var b series.Batch
	add(t, &b, 1, "__name__", "up", "job", "a")
	out, err := r.Append(context.Background(), 0, &b)
	if err != nil || out.Samples != 0 || len(to.rows) != 0 || !strings.Contains(out.Refused.String(), "no metric name") || !strings.Contains(out.Refused.String(), `{__name__="up", job="a"}`) {
		t.Errorf("%s %v %v", out.Refused, err, to.rows)
	}
	r.SetRules(mustParse(t, doubling))
	b.Reset()
	add(t, &b, 1, "__name__", "up", "big", "12345")
	out, _ = r.Append(context.Background(), 0, &b)
	if all := out.Refused.All(); len(all) != 1 || all[0].Reason != series.ReasonLabelTooLong || all[0].Samples != 1 {
		t.Errorf("%+v", all)
	}
	r.SetRules(Rules{})
	b.Reset()
	add(t, &b, 1, "__name__", "up", "big", "12345")
	if out, _ = r.Append(context.Background(), 0, &b); out.Samples != 1 || len(to.rows) != 1 {
		t.Errorf("without rules: %+v", out)
	}
}

func TestErrorsOfTheStorageComeBack(t *testing.T) {
	to := &kept{err: errors.New("full")}
	r := New(to, mustParse(t, `- {source_labels: [job], regex: a, action: drop}`), Options{})
	var b series.Batch
	add(t, &b, 1, "__name__", "up", "job", "a")
	add(t, &b, 1, "__name__", "up", "job", "b")
	if out, err := r.Append(context.Background(), 0, &b); !errors.Is(err, to.err) || out.Samples != 1 {
		t.Errorf("%+v %v", out, err) // only the storage's word counts then
	}
}

// TestRandomRules compares outcomes, evaluated and remembered, with
// Prometheus's own.
func TestRandomRules(t *testing.T) {
	const small = 24 << 10 // so that generations change
	r := New(&kept{}, mustParse(t, fiveRules), Options{CacheBytes: small})
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	for range 50 {
		var b series.Batch
		var sent []labels.Labels
		for range 1 + random.IntN(40) {
			sent = append(sent, randomLabels(random))
			if reason, detail := b.AddSeries(sent[len(sent)-1]); reason != "" {
				t.Fatal(detail)
			}
			b.AddSample(1, 0, 1)
		}
		to := &kept{}
		r.next = to
		if _, err := r.Append(context.Background(), 0, &b); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, ls := range sent {
			lb := labels.NewBuilder(ls)
			if relabel.ProcessBuilder(lb, r.table.Load().rules...) {
				want = append(want, lb.Labels().String()+" [1]")
			}
			stored, ok := r.Stored(series.AppendLabels(nil, ls))
			if ok != relabel.ProcessBuilder(labels.NewBuilder(ls), r.table.Load().rules...) || ok && stored.String()+" [1]" != want[len(want)-1] {
				t.Fatalf("seed %d: %s is said to be stored as %s, %v", seed, ls, stored, ok)
			}
		}
		if !slices.Equal(to.rows, want) {
			t.Fatalf("seed %d: got %v, want %v", seed, to.rows, want)
		}
		table := r.table.Load()
		if size := table.young.bytes + table.old.bytes; size > small+2048 {
			t.Fatalf("%d bytes are remembered", size)
		}
	}
	if n := testutil.ToFloat64(r.misses); n > 850 {
		t.Errorf("seed %d: %v evaluations for about 1,000 rows, hardly any was remembered", seed, n)
	}
}

func randomLabels(random *rand.Rand) labels.Labels {
	names := []string{"up", "go_gc_seconds", "http_requests_total"}
	pairs := []string{"__name__", names[random.IntN(len(names))], "instance", fmt.Sprintf("h%d:80", random.IntN(3))}
	for _, name := range []string{"job", "k8s_pod", "k8s_node"} {
		if random.IntN(2) == 0 {
			pairs = append(pairs, name, fmt.Sprint("v", random.IntN(2)))
		}
	}
	return labels.FromStrings(pairs...)
}

func TestTogether(t *testing.T) {
	r := New(&kept{}, mustParse(t, fiveRules), Options{CacheBytes: 8 << 10})
	rules := mustParse(t, fiveRules)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 2))
			var b series.Batch
			for range 40 {
				b.Reset()
				for range 20 {
					ls := randomLabels(random)
					if reason, _ := b.AddSeries(ls); reason == "" {
						b.AddSample(1, 0, 1)
					}
				}
				if out, err := r.Append(context.Background(), 0, &b); err != nil || out.Samples != 20 {
					t.Error(out, err)
				}
			}
		})
	}
	for range 20 {
		r.SetRules(rules)
	}
	all.Wait()
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"- {action: drop}": "",
		"- {action: drip}": `unknown relabel action "drip"`,
		"- {regex: '('}":   "error parsing regexp",
		"- {modulus: 8, source_labels: [a], action: hashmod}": "requires 'target_label'",
		"- {action: drop}\n-": "rule 2 is empty",
		"- {actoin: drop}":    "line 2: field actoin not found",
	} {
		_, err := Parse([]byte(Key + ":\n" + text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if got := mustParse(t, fiveRules).YAML(); !strings.Contains(got, "go_gc_.*") {
		t.Error(got)
	}
	if got := (Rules{}).YAML(); got != "" {
		t.Error(got)
	}
}

func add(t testing.TB, b *series.Batch, value float64, pairs ...string) {
	t.Helper()
	if reason, detail := b.AddSeries(labels.FromStrings(pairs...)); reason != "" {
		t.Fatal(detail)
	}
	b.AddSample(1, 0, value)
}
