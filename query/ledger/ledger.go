package ledger

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/series"
)

// Origin is for whom and why a query is asked, as Grafana and other clients say in
// headers. Each text is empty where it is not known.
type Origin struct {
	Tenant                       series.TenantID
	Dashboard, Panel, Datasource string
	// Rule is the uid of an alerting or recording rule.
	Rule, RuleName, RuleFolder string
}

// Cost is what one query took.
type Cost struct {
	Seconds float64
	// CPUSeconds is the time in which cores worked on it.
	CPUSeconds             float64
	Samples, Bytes, Series int64
	Failed                 bool
}

// Entry sums up the queries of one text and origin.
type Entry struct {
	// Query is the text without values, as Normalize makes it, Last that of the
	// last query as it was asked.
	Query, Last string
	Origin      Origin
	Count       int64
	Errors      int64
	// Total and SecondsMax are of all queries, failed ones too.
	Total      Cost
	SecondsMax float64
	FirstSeen  time.Time
	LastSeen   time.Time
}

// Options tune a Ledger. The zero value works.
type Options struct {
	// EntriesMax bounds the entries; default 1,000.
	EntriesMax int
	// TextBytesMax is how much of a text is kept; default 4 KiB.
	TextBytesMax int
	// TextsMax is how many texts are remembered with what they become without
	// values; default 4,096.
	TextsMax int
	// Now returns the time; default time.Now.
	Now func() time.Time
}

// Parser parses texts of queries.
type Parser interface {
	ParseExpr(text string) (parser.Expr, error)
}

// Ledger keeps entries.
type Ledger struct {
	parser  Parser
	options Options

	mu      sync.Mutex
	entries map[key]*Entry
	texts   texts
	evicted int64
}

type key struct {
	query  string
	origin Origin
}

// New returns an empty ledger.
func New(p Parser, o Options) *Ledger {
	if o.EntriesMax <= 0 {
		o.EntriesMax = 1000
	}
	if o.TextBytesMax <= 0 {
		o.TextBytesMax = 4 << 10
	}
	if o.TextsMax <= 0 {
		o.TextsMax = 4096
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Ledger{parser: p, options: o, entries: map[key]*Entry{}, texts: texts{max: o.TextsMax}}
}

// Record adds what a query cost.
func (l *Ledger) Record(query string, origin Origin, cost Cost) {
	query = clip(query, l.options.TextBytesMax)
	normalized := l.normalize(query)
	origin = origin.clipped()
	now := l.options.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	at := key{normalized, origin}
	entry := l.entries[at]
	if entry == nil {
		if len(l.entries) >= l.options.EntriesMax {
			l.evictLocked(now)
		}
		entry = &Entry{Query: normalized, Origin: origin, FirstSeen: now}
		l.entries[at] = entry
	}
	entry.add(query, cost, now)
}

func (e *Entry) add(query string, cost Cost, now time.Time) {
	e.Last, e.LastSeen = query, now
	e.Count++
	if cost.Failed {
		e.Errors++
	}
	e.SecondsMax = max(e.SecondsMax, cost.Seconds)
	e.Total.Seconds += cost.Seconds
	e.Total.CPUSeconds += cost.CPUSeconds
	e.Total.Samples += cost.Samples
	e.Total.Bytes += cost.Bytes
	e.Total.Series += cost.Series
}

// originBytesMax bounds what a client says of itself.
const originBytesMax = 200

func (o Origin) clipped() Origin {
	for _, s := range []*string{&o.Dashboard, &o.Panel, &o.Datasource, &o.Rule, &o.RuleName, &o.RuleFolder} {
		*s = clip(*s, originBytesMax)
	}
	return o
}

// clip cuts what is longer than n bytes. The rest of a text is given back then.
func clip(s string, n int) string {
	if len(s) > n {
		return string([]byte(s[:n-len(cut)])) + cut
	}
	return s
}

// cut marks the end of what was cut.
const cut = "..."

// halfLife is after what time an entry's seconds count for half in the choice of
// what is evicted.
const halfLife = time.Hour

// evictLocked makes room for a tenth of the entries at a time, so that a flood of new
// ones does not look through all others for each.
func (l *Ledger) evictLocked(now time.Time) {
	type ranked struct {
		at     key
		weight float64
	}
	list := make([]ranked, 0, len(l.entries))
	for at, e := range l.entries {
		age := float64(now.Sub(e.LastSeen)) / float64(halfLife)
		list = append(list, ranked{at, e.Total.Seconds * math.Exp2(-age)})
	}
	slices.SortFunc(list, func(a, b ranked) int { return cmp.Compare(a.weight, b.weight) })
	n := max(len(list)/10, 1)
	for _, r := range list[:n] {
		delete(l.entries, r.at)
	}
	l.evicted += int64(n)
}

// Order is what entries are sorted by.
type Order func(e *Entry) float64

// Orders returns the orders by name; the largest comes first.
func Orders() map[string]Order {
	return map[string]Order{
		"seconds":    func(e *Entry) float64 { return e.Total.Seconds },
		"cpuSeconds": func(e *Entry) float64 { return e.Total.CPUSeconds },
		"maxSeconds": func(e *Entry) float64 { return e.SecondsMax },
		"count":      func(e *Entry) float64 { return float64(e.Count) },
		"errors":     func(e *Entry) float64 { return float64(e.Errors) },
		"samples":    func(e *Entry) float64 { return float64(e.Total.Samples) },
		"bytes":      func(e *Entry) float64 { return float64(e.Total.Bytes) },
		"series":     func(e *Entry) float64 { return float64(e.Total.Series) },
		"lastSeen":   func(e *Entry) float64 { return float64(e.LastSeen.UnixNano()) },
	}
}

// Entries returns at most limit entries of a tenant, the first in the order; and how
// many it has, and how many of all were evicted since the start.
func (l *Ledger) Entries(tenant series.TenantID, by Order, limit int) (list []Entry, total int, evicted int64) {
	l.mu.Lock()
	for at, e := range l.entries {
		if at.origin.Tenant == tenant {
			list = append(list, *e)
		}
	}
	evicted = l.evicted
	l.mu.Unlock()
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(by(&b), by(&a)), cmp.Compare(a.Query, b.Query), cmp.Compare(a.FirstSeen.UnixNano(), b.FirstSeen.UnixNano()))
	})
	total = len(list)
	return list[:min(limit, total)], total, evicted
}

// normalize returns what a query's text is without values. What cannot be parsed,
// as it was cut, stands for itself.
func (l *Ledger) normalize(query string) string {
	l.mu.Lock()
	text, known := l.texts.get(query)
	l.mu.Unlock()
	if known {
		return text
	}
	text = query
	if expr, err := l.parser.ParseExpr(query); err == nil {
		text = clip(Normalize(expr), l.options.TextBytesMax)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts.put(query, text)
	return text
}

// texts remembers what texts become, in two generations: the older one is
// forgotten when the younger is full.
type texts struct {
	max        int
	young, old map[string]string
}

func (t *texts) get(text string) (string, bool) {
	if out, ok := t.young[text]; ok {
		return out, true
	}
	out, ok := t.old[text]
	if ok {
		t.put(text, out)
	}
	return out, ok
}

func (t *texts) put(text, out string) {
	if t.young == nil || len(t.young) >= t.max/2 {
		t.old, t.young = t.young, make(map[string]string, 16)
	}
	t.young[text] = out
}
