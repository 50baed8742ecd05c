package ledger

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/series"
)

func newParser() parser.Parser {
	return parser.NewParser(parser.Options{EnableExperimentalFunctions: true})
}

func TestNormalize(t *testing.T) {
	for text, want := range map[string]string{
		`up`:                         `up`,
		`up{job="api",code=~"5.."}`:  `up{code=~"_",job="_"}`,
		`{__name__="up", a!="b"}`:    `{__name__="up",a!="_"}`,
		`{__name__=~"up|down",a=""}`: `{__name__=~"up|down",a="_"}`,
		`sum by (job) (rate(x_total{a="1"}[5m])) > 0.5`:              `sum by (job) (rate(x_total{a="_"}[1s])) > 1`,
		`histogram_quantile(0.99, sum(rate(b[2h30m] offset 1w)))`:    `histogram_quantile(1, sum(rate(b[1s] offset 1s)))`,
		`label_replace(up, "dst", "$1", "src", "(.*)")`:              `label_replace(up, "_", "_", "_", "_")`,
		`max_over_time(rate(x[1m])[1h:30s] @ 1600000000 offset -5m)`: `max_over_time(rate(x[1s])[1s:1s] @ 0.000 offset 1s)`,
		`x[1h:]`:                    `x[1s:]`,
		`topk(5, x @ end())`:        `topk(1, x @ end())`,
		`-x ^ 2 + NaN`:              `-x ^ 1 + 1`,
		`x[5m + 1m]`:                `x[1s]`,
		`a / on (job) group_left b`: `a / on (job) group_left () b`,
		`"text"`:                    `"_"`,
		`time() - 1d`:               `time() - 1`,
	} {
		expr, err := newParser().ParseExpr(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := Normalize(expr); got != want {
			t.Errorf("%s\n  becomes %s\n  want    %s", text, got, want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, text := range []string{`sum(rate(x{a="b"}[5m])) > 1`, `x[1h:5m] @ 5 offset -1m`, `{__name__=~"a", b!~"c"}`, `x[5m*2] offset 1s`, `"a"`, `info(x, {y="z"})`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		expr, err := newParser().ParseExpr(text)
		if err != nil {
			return
		}
		once := Normalize(expr)
		again, err := newParser().ParseExpr(once)
		if err != nil {
			t.Skip("the printer wrote what the parser does not read") // its matter
		}
		if twice := Normalize(again); twice != once {
			t.Errorf("%q becomes %q, and that %q", text, once, twice)
		}
	})
}

// clock is a time that tests set.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

func newLedger(entries int) (*Ledger, *clock) {
	c := &clock{time.Unix(1_900_000_000, 0)}
	return New(newParser(), Options{EntriesMax: entries, TextsMax: 8, TextBytesMax: 200, Now: c.time}), c
}

func TestRecord(t *testing.T) {
	l, c := newLedger(10)
	panel := Origin{Dashboard: "d", Panel: "1"}
	l.Record(`up{job="a"}`, panel, Cost{Seconds: 1, CPUSeconds: 0.5, Samples: 10, Bytes: 100, Series: 1})
	c.now = c.now.Add(time.Minute)
	l.Record(`up{job="b"}`, panel, Cost{Seconds: 3, CPUSeconds: 1, Samples: 20, Bytes: 200, Series: 2, Failed: true})
	l.Record(`up{job="b"}`, Origin{Panel: "2"}, Cost{Seconds: 2})
	l.Record(`up{job="b"}`, panel, Cost{Seconds: 2})
	list, total, evicted := l.Entries(series.DefaultTenant, Orders()["seconds"], 10)
	if total != 2 || evicted != 0 || len(list) != 2 {
		t.Fatalf("%d of %d entries, %d evicted", len(list), total, evicted)
	}
	want := Entry{
		Query: `up{job="_"}`, Last: `up{job="b"}`, Origin: panel, Count: 3, Errors: 1, SecondsMax: 3,
		Total:     Cost{Seconds: 6, CPUSeconds: 1.5, Samples: 30, Bytes: 300, Series: 3},
		FirstSeen: c.now.Add(-time.Minute), LastSeen: c.now,
	}
	if list[0] != want {
		t.Errorf(" got %+v\nwant %+v", list[0], want)
	}
	if list, total, _ := l.Entries(series.DefaultTenant, Orders()["lastSeen"], 1); len(list) != 1 || total != 2 {
		t.Errorf("%d of %d", len(list), total)
	}
	for name, by := range Orders() {
		if list, _, _ := l.Entries(series.DefaultTenant, by, 2); by(&list[0]) < by(&list[1]) {
			t.Errorf("%s: %v before %v", name, by(&list[0]), by(&list[1]))
		}
	}
}

// What is costly stays, what is old and cheap goes, and there is a bound whatever
// comes.
func TestEviction(t *testing.T) {
	l, c := newLedger(20)
	l.Record("costly", Origin{}, Cost{Seconds: 1000})
	l.Record("long_ago", Origin{}, Cost{Seconds: 1})
	c.now = c.now.Add(5 * time.Hour)
	for i := range 500 {
		l.Record("flood_"+strconv.Itoa(i), Origin{}, Cost{Seconds: 0.1})
		if _, total, _ := l.Entries(series.DefaultTenant, Orders()["count"], 1); total > 20 {
			t.Fatalf("%d entries", total)
		}
	}
	list, total, evicted := l.Entries(series.DefaultTenant, Orders()["seconds"], 100)
	if list[0].Query != "costly" || evicted != 502-int64(total) {
		t.Errorf("first %+v; %d evicted, %d left", list[0], evicted, total)
	}
	for _, e := range list {
		if e.Query == "long_ago" {
			t.Error("an old cheap entry outlived newer ones")
		}
	}
	if n := len(l.texts.young) + len(l.texts.old); n > 8 {
		t.Errorf("%d texts are remembered", n)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	l, _ := newLedger(10)
	l.Record(strings.Repeat("x", 1000)+" + ", Origin{Dashboard: strings.Repeat("d", 1000)}, Cost{})
	list, _, _ := l.Entries(series.DefaultTenant, Orders()["count"], 1)
	e := list[0]
	if len(e.Query) != 200 || !strings.HasSuffix(e.Query, "...") || len(e.Last) != 200 || len(e.Origin.Dashboard) != originBytesMax {
		t.Errorf("%+v", e)
	}
	l.Record("sum("+strings.Repeat("(", 10), Origin{}, Cost{Failed: true})
	if list, _, _ := l.Entries(series.DefaultTenant, Orders()["errors"], 1); list[0].Query != "sum("+strings.Repeat("(", 10) {
		t.Errorf("%+v", list[0])
	}
}

func TestRecordTogether(t *testing.T) {
	l := New(newParser(), Options{EntriesMax: 10, TextsMax: 4})
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := range 200 {
				l.Record(fmt.Sprintf("m_%d{a='%d'}", i%15, w), Origin{}, Cost{Seconds: 1})
				l.Entries(series.DefaultTenant, Orders()["seconds"], 3)
			}
		})
	}
	group.Wait()
	if _, total, _ := l.Entries(series.DefaultTenant, Orders()["seconds"], 3); total > 10 || total == 0 {
		t.Errorf("%d entries", total)
	}
}

func BenchmarkRecordTakesLessThanMicroseconds(b *testing.B) {
	l := New(newParser(), Options{})
	texts := make([]string, 100)
	for i := range texts {
		texts[i] = fmt.Sprintf(`histogram_quantile(0.99, sum by (le, job) (rate(http_request_duration_seconds_bucket{job="job_%d",code!~"5.."}[5m])))`, i)
	}
	i := 0
	for b.Loop() {
		l.Record(texts[i%len(texts)], Origin{Dashboard: "d", Panel: "1"}, Cost{Seconds: 1})
		i++
	}
}

func BenchmarkRecordOfNewTexts(b *testing.B) {
	l := New(newParser(), Options{})
	i := 0
	for b.Loop() {
		l.Record(fmt.Sprintf(`sum by (le, job) (rate(http_request_duration_seconds_bucket{job="job_%d",code!~"5.."}[5m]))`, i), Origin{}, Cost{Seconds: 1})
		i++
	}
}
