package query

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/varve-db/varve/query/ledger"
	"github.com/varve-db/varve/series"
)

func TestActiveQueriesAreListedAndKilled(t *testing.T) {
	registry := prometheus.NewRegistry()
	e := New(Options{ConcurrentMax: 1, Registerer: registry})
	f := &fake{block: make(chan struct{})}
	failed := make(chan error, 2)
	ask := func(text string) {
		r := instant(text)
		r.Client, r.Origin = "127.0.0.1:5", ledger.Origin{Dashboard: "d"}
		_, err := e.Run(t.Context(), f, r)
		failed <- err
	}
	go ask("first")
	eventually(t, func() bool { list := e.Active(); return len(list) == 1 && list[0].Running })
	go ask("second")
	eventually(t, func() bool { return len(e.Active()) == 2 })
	list := e.Active()
	if list[0].Request.Query != "first" || list[1].Request.Query != "second" || list[1].Running || list[0].Work.Executor != "reference" {
		t.Fatalf("%+v", list)
	}
	if list[0].ID == list[1].ID || list[0].Request.Client != "127.0.0.1:5" || list[0].Request.Origin.Dashboard != "d" || time.Since(list[0].Since) > time.Minute {
		t.Errorf("%+v", list[0])
	}
	for i := len(list) - 1; i >= 0; i-- { // the one that waits first
		if !e.Kill(series.DefaultTenant, list[i].ID) {
			t.Fatal("there is no such query")
		}
		if err := <-failed; !errors.Is(err, ErrKilled) {
			t.Errorf("query %d: %v", i, err)
		}
	}
	eventually(t, func() bool { return len(e.Active()) == 0 })
	if e.Kill(series.DefaultTenant, list[0].ID) || e.Kill(series.DefaultTenant, 0) {
		t.Error("a query that has ended was killed")
	}
	if n := testutil.ToFloat64(e.metrics.killed); n != 2 {
		t.Errorf("%v killed", n)
	}
	entries, _, _ := e.Ledger().Entries(series.DefaultTenant, ledger.Orders()["count"], 10)
	if len(entries) != 2 || entries[0].Errors != 1 || entries[0].Origin.Dashboard != "d" {
		t.Errorf("%+v", entries)
	}
}

// TestProgressOfAColumnarQuery looks at a query while it runs and when it is done.
func TestProgressOfAColumnarQuery(t *testing.T) {
	w := wideWorld(100, 2000)
	db := w.load(t)
	defer func() { _ = db.Close() }()
	from := Local(db, series.DefaultTenant)
	e := New(Options{SamplesMax: -1})
	slow := Request{Query: `mad_over_time(memory[4h])`, Start: time.UnixMilli(w.from), End: time.UnixMilli(w.to), Step: 3 * time.Second}
	failed := make(chan error, 1)
	go func() {
		_, err := e.Run(t.Context(), from, slow)
		failed <- err
	}()
	var seen Active
	eventually(t, func() bool {
		list := e.Active()
		if len(list) == 1 {
			seen = list[0]
		}
		return seen.Work.Rows > 0
	})
	if seen.Work.Executor != "columnar" || seen.Work.Rows > seen.Work.RowsAll || seen.Work.RowsAll != 100 || seen.Work.Decoded == 0 || seen.Work.Bytes == 0 {
		t.Errorf("%+v", seen.Work)
	}
	e.Kill(series.DefaultTenant, seen.ID)
	if err := <-failed; !errors.Is(err, ErrKilled) {
		t.Errorf("%v", err)
	}
	result, err := e.Run(t.Context(), from, Request{Query: `sum(memory)`, Start: time.UnixMilli(w.to)})
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	if did := result.Work; did.Rows < 100 || did.Rows != did.RowsAll || did.Decoded < 100 || did.Samples != 100 || did.Series != 100 || did.Peak == 0 || did.Busy <= 0 {
		t.Errorf("%+v", did)
	}
}
