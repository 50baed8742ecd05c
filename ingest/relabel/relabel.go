package relabel

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varve-db/varve/series"
)

// Appender stores batches.
type Appender interface {
	Append(ctx context.Context, tenant series.TenantID, b *series.Batch) (series.Outcome, error)
}

// Options tune a Relabeler. The zero value works.
type Options struct {
	// LabelRules are what the rules' results are held to.
	LabelRules series.LabelRules
	// CacheBytes bounds the memory for label sets whose outcome is known; default
	// 64 MiB. What has not been seen for long makes room.
	CacheBytes int64
	Registerer prometheus.Registerer
}

// Relabeler is an Appender that applies rules to what it hands on.
type Relabeler struct {
	next    Appender
	options Options
	table   atomic.Pointer[table] // nil: there are no rules

	dropped prometheus.Counter
	misses  prometheus.Counter
}

// New returns a Relabeler in front of next.
func New(next Appender, rules Rules, o Options) *Relabeler {
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	r := &Relabeler{
		next: next, options: o,
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_relabel_dropped_samples_total", Help: "Samples and histograms that write_relabel_configs dropped.",
		}),
		misses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_relabel_evaluated_series_total", Help: "Series that write_relabel_configs were evaluated for, because what becomes of them was not known.",
		}),
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(r.dropped, r.misses)
	}
	r.SetRules(rules)
	return r
}

// SetRules replaces the rules, unless they are the same: then what is remembered
// stays. Batches under way keep those that they began with.
func (r *Relabeler) SetRules(rules Rules) {
	if t := r.table.Load(); t != nil && t.text == rules.YAML() {
		return
	}
	if rules.file == nil {
		r.table.Store(nil)
		return
	}
	r.table.Store(newTable(rules, r.options))
}

// Append applies the rules to the batch and hands it on. What a rule drops is
// counted as stored: it is dealt with as its owner wants, and the sender shall
// neither send it again nor call it lost. A series that the rules leave without
// a name, or with labels beyond the limits, is refused.
func (r *Relabeler) Append(ctx context.Context, tenant series.TenantID, b *series.Batch) (series.Outcome, error) {
	t := r.table.Load()
	if t == nil {
		return r.next.Append(ctx, tenant, b)
	}
	var mine series.Outcome
	kept := 0
	r.misses.Add(float64(t.each(b, func(row int, o *outcome) {
		switch {
		case o.reason != "":
			refuse(&mine, b, row, o)
			return
		case o.drop:
			mine.Samples += b.Rows[row].Samples.Len()
			mine.Histograms += b.Rows[row].Histograms.Len()
			mine.Exemplars += b.Rows[row].Exemplars.Len()
			return
		case o.labels != nil:
			b.Relabel(row, o.labels)
		}
		b.Rows[kept] = b.Rows[row]
		kept++
	})))
	b.Rows = b.Rows[:kept]
	r.dropped.Add(float64(mine.Samples + mine.Histograms))
	out, err := r.next.Append(ctx, tenant, b)
	if err != nil {
		return out, err
	}
	out.Samples += mine.Samples
	out.Histograms += mine.Histograms
	out.Exemplars += mine.Exemplars
	out.Refused.Merge(mine.Refused)
	return out, nil
}

func refuse(to *series.Outcome, b *series.Batch, row int, o *outcome) {
	r := b.Rows[row]
	to.Refused.Add(o.reason, r.Samples.Len(), r.Histograms.Len(), r.Exemplars.Len(), func() (string, string) {
		return b.Labels(row).String(), Key + ": " + o.detail
	})
}

// Stored returns the labels under which a series with the labels ls is stored,
// and whether it is.
func (r *Relabeler) Stored(ls series.Labels) (series.Labels, bool) {
	t := r.table.Load()
	if t == nil {
		return ls, true
	}
	o := t.evaluate(ls)
	switch {
	case o.drop || o.reason != "":
		return nil, false
	case o.labels != nil:
		return o.labels, true
	}
	return ls, true
}
