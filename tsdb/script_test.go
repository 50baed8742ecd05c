package tsdb

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varve-db/varve/chunks"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

// TestScripts runs the behaviour scripts of testdata. Times in them are
// durations since the start of 2026-01-01, UTC, such as 36h or -1s. With
// -rewrite the expected outputs are replaced by the present ones.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		s := script{t: t, store: memkv.New(memkv.Options{}), now: 12 * time.Hour}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := s.run(d)
			if err != nil {
				return fmt.Sprintf("error: %v\n", err)
			}
			return out
		})
		if s.db != nil {
			s.db.Close()
		}
	})
}

var scriptOrigin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// script is the state of one script.
type script struct {
	t     *testing.T
	store *memkv.Store
	db    *DB
	now   time.Duration // since scriptOrigin
}

func (s *script) run(d *datadriven.TestData) (string, error) {
	ctx := context.Background()
	switch d.Cmd {
	case "open": // retention=D width=D partitions=N
		return s.open(d)
	case "clock": // D
		s.now = s.duration(d.CmdArgs[0].Key)
		return "", nil
	case "append": // tenant=N; a line each: series [value@time ...]
		return s.append(d)
	case "flush":
		return "", s.db.Flush(ctx)
	case "step":
		return "", s.db.Step(ctx)
	case "seal":
		return s.seal(ctx)
	case "drop": // before=D
		return "", s.db.DropBefore(ctx, s.time(s.arg(d, "before", "")))
	case "keep": // a lifetime a line: tenant or any, selector or all, duration
		return "", s.keep(d)
	case "believe": // seals and erase take out what has expired now
		s.db.Believe(scriptOrigin.Add(s.now))
		return "", nil
	case "erase":
		return s.erase(ctx)
	case "expired":
		return s.expired(ctx)
	case "drop-partition": // tenant=N start=D
		return "", s.db.Drop(ctx, []Partition{{Tenant: s.tenant(d), Start: s.time(s.arg(d, "start", ""))}})
	case "delete": // tenant=N from=D to=D; a selector a line
		return s.delete(d)
	case "deletions": // tenant=N
		return s.deletions(d)
	case "select": // tenant=N from=D to=D; a selector
		return s.selectSamples(d)
	case "labels": // tenant=N
		return s.labels(d)
	case "partitions":
		return s.partitions()
	case "state":
		return fmt.Sprintf("epoch %d, %d to be flushed, %d in memory\n", s.db.epoch.ID, max(0, s.db.frozen()), len(s.db.view.epochs)), nil
	case "damage": // family=X [start=D] overwrite the rows of a family
		return s.damage(d)
	default:
		return "", fmt.Errorf("unknown command %s", d.Cmd)
	}
}

// arg returns the value of an argument, or otherwise.
func (s *script) arg(d *datadriven.TestData, key, otherwise string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) == 1 {
			return a.Vals[0]
		}
	}
	return otherwise
}

func (s *script) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatalf("duration %q: %v", text, err)
	}
	return d
}

func (s *script) time(text string) int64 { return scriptOrigin.Add(s.duration(text)).UnixMilli() }

func (s *script) tenant(d *datadriven.TestData) series.TenantID {
	n, err := strconv.ParseUint(s.arg(d, "tenant", "0"), 10, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	return series.TenantID(n)
}

// open opens the database, or opens it again as after a crash.
func (s *script) open(d *datadriven.TestData) (string, error) {
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			return "", err
		}
	}
	o := testOptions()
	o.Now = func() time.Time { return scriptOrigin.Add(s.now) }
	o.Retention = s.duration(s.arg(d, "retention", "0s"))
	o.Width = s.duration(s.arg(d, "width", "24h"))
	n, err := strconv.Atoi(s.arg(d, "partitions", "0"))
	if err != nil {
		return "", err
	}
	o.EpochPartitionsMax = n
	s.db, err = Open(context.Background(), s.store, o)
	return "", err
}

func (s *script) append(d *datadriven.TestData) (string, error) {
	var b series.Batch
	for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
		end := strings.LastIndex(line, "}")
		ls, err := parser.NewParser(parser.Options{}).ParseMetric(line[:end+1])
		if err != nil {
			return "", err
		}
		if reason, detail := b.AddSeries(ls); reason != "" {
			return "", fmt.Errorf("%s: %s", reason, detail)
		}
		for _, word := range strings.Fields(line[end+1:]) {
			text, at, _ := strings.Cut(word, "@")
			at, start, _ := strings.Cut(at, "~")
			st := int64(0)
			if start != "" {
				st = s.time(start)
			}
			v := math.Float64frombits(staleBits)
			if text != "stale" {
				if v, err = strconv.ParseFloat(text, 64); err != nil {
					return "", err
				}
			}
			b.AddSample(s.time(at), st, v)
		}
	}
	outcome, err := s.db.Append(context.Background(), s.tenant(d), &b)
	if err != nil {
		return "", err
	}
	out := fmt.Sprintf("stored %d\n", outcome.Samples)
	if !outcome.Refused.Empty() {
		out += strings.ReplaceAll(outcome.Refused.String(), "; ", "\n") + "\n"
	}
	return out, nil
}

func (s *script) selectSamples(d *datadriven.TestData) (string, error) {
	mint, maxt := int64(math.MinInt64), int64(math.MaxInt64)
	if from := s.arg(d, "from", ""); from != "" {
		mint = s.time(from)
	}
	if to := s.arg(d, "to", ""); to != "" {
		maxt = s.time(to)
	}
	ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(strings.TrimSpace(d.Input))
	if err != nil {
		return "", err
	}
	q, err := s.db.Querier(s.tenant(d), mint, maxt)
	if err != nil {
		return "", err
	}
	defer q.Close()
	var out strings.Builder
	set := q.Select(context.Background(), true, nil, ms...)
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		samples, err := readSamples(it)
		if err != nil {
			return "", err
		}
		if len(samples) > 0 {
			fmt.Fprintf(&out, "%s%s\n", set.At().Labels(), formatSamples(samples))
		}
	}
	if err := set.Err(); err != nil {
		return "", err
	}
	var warnings []string
	for _, w := range q.Warnings().AsErrors() {
		warnings = append(warnings, fmt.Sprintf("warning: %v\n", w))
	}
	slices.Sort(warnings)
	return out.String() + strings.Join(warnings, ""), nil
}

func formatSamples(samples []chunks.Sample) (out string) {
	since := func(t int64) time.Duration { return time.UnixMilli(t).Sub(scriptOrigin) }
	for _, s := range samples {
		text := strconv.FormatFloat(math.Float64frombits(s.Bits), 'g', -1, 64)
		if s.Bits == staleBits {
			text = "stale"
		}
		out += fmt.Sprintf(" %s@%s", text, since(s.Time))
		if s.Start != 0 {
			out += fmt.Sprintf("~%s", since(s.Start))
		}
	}
	return out
}

func (s *script) delete(d *datadriven.TestData) (string, error) {
	del := Deletion{Tenant: s.tenant(d), Min: math.MinInt64, Max: math.MaxInt64}
	if from := s.arg(d, "from", ""); from != "" {
		del.Min = s.time(from)
	}
	if to := s.arg(d, "to", ""); to != "" {
		del.Max = s.time(to)
	}
	for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
		ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(line)
		if err != nil {
			return "", err
		}
		del.Selectors = append(del.Selectors, ms)
	}
	r, err := s.db.Delete(context.Background(), del)
	return fmt.Sprintf("%s: %d samples of %d series in %d partitions\n", r.State, r.Samples, r.Series, r.Partitions), err
}

func (s *script) deletions(d *datadriven.TestData) (string, error) {
	list, err := s.db.Deletions(s.tenant(d))
	var out strings.Builder
	for _, r := range list {
		fmt.Fprintf(&out, "%s %s %s: %d samples\n", r.Asked.Sub(scriptOrigin), strings.Join(r.Selectors, " "), r.State, r.Samples)
	}
	return out.String(), err
}

func (s *script) labels(d *datadriven.TestData) (string, error) {
	q, err := s.db.Querier(s.tenant(d), math.MinInt64, math.MaxInt64)
	if err != nil {
		return "", err
	}
	defer q.Close()
	names, _, err := q.LabelNames(context.Background(), nil)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, name := range names {
		values, _, err := q.LabelValues(context.Background(), name, nil)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(values, " "))
	}
	return out.String(), nil
}

func (s *script) seal(ctx context.Context) (string, error) {
	reports, err := s.db.Seal(ctx)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, r := range reports {
		fmt.Fprintf(&out, "tenant %d, from %s: %d generations, %d series, %d samples\n", r.Tenant, time.UnixMilli(r.Start).Sub(scriptOrigin), r.Inputs, r.Series, r.Samples)
	}
	return out.String(), nil
}

func (s *script) partitions() (string, error) {
	list, err := s.db.Partitions()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, p := range list {
		fmt.Fprintf(&out, "tenant %d, from %s to %s: generations %d, flushes %d, series %d, samples %d\n", p.Tenant,
			time.UnixMilli(p.Start).Sub(scriptOrigin), time.UnixMilli(p.End).Sub(scriptOrigin), p.Generations, p.Flushes, p.Series, p.Samples)
	}
	return out.String(), nil
}

// damage overwrites the rows of a family of the partitions that start at start.
func (s *script) damage(d *datadriven.TestData) (string, error) {
	family := s.arg(d, "family", "")[0]
	start := keyspace.AppendInt64(nil, s.time(s.arg(d, "start", "0s")))
	it, err := s.store.Scan([]byte{keyspace.Partitions}, []byte{keyspace.Partitions + 1})
	if err != nil {
		return "", err
	}
	defer it.Close()
	const startAt, familyAt = 6, 20 // in the key
	var batch kv.Batch
	for ok := it.SeekGE([]byte{keyspace.Partitions}); ok; ok = it.Next() {
		if key := it.Key(); key[familyAt] == family && string(key[startAt:startAt+8]) == string(start) {
			batch.Set(slices.Clone(key), []byte{0xff, 0xff, 0xff})
		}
	}
	return fmt.Sprintf("%d rows\n", len(batch.Ops())), s.store.Apply(&batch, kv.NoSync)
}
