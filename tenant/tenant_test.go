package tenant

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/series"
)

var day = time.Date(2030, 1, 2, 3, 4, 5, 6e6, time.UTC)

func open(t *testing.T, store Store, max int) *Registry {
	t.Helper()
	r, err := Open(t.Context(), store, Options{Max: max, Now: func() time.Time { return day }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func register(t *testing.T, r *Registry, name string) series.TenantID {
	t.Helper()
	tenant, err := r.Register(name)
	if err != nil {
		t.Fatal(err)
	}
	return tenant.ID
}

func TestNamesAreKept(t *testing.T) {
	store := memkv.New(memkv.Options{})
	defer store.Close()
	r := open(t, store, 3)
	if _, known := r.Find("a"); known || r.ByID(1) != nil {
		t.Error("asking made a tenant")
	}
	if id := register(t, r, Default); id != series.DefaultTenant {
		t.Errorf("the default tenant is %d", id)
	}
	a, b := register(t, r, "a"), register(t, r, "b")
	if a == b || a == series.DefaultTenant || b == series.DefaultTenant || register(t, r, "a") != a {
		t.Errorf("numbers %d and %d", a, b)
	}
	again := open(t, store, 3)
	for name, id := range map[string]series.TenantID{Default: 0, "a": a, "b": b} {
		if got, known := again.Find(name); !known || got.ID != id || again.ByID(id) != got || got.Name != name {
			t.Errorf("%s: %+v after a restart", name, got)
		}
	}
	if got, _ := again.Find("a"); !got.Registered.Equal(day) {
		t.Errorf("registered %s", got.Registered)
	}
	c := register(t, again, "c")
	if c == a || c == b {
		t.Errorf("number %d is used twice", c)
	}
	if _, err := again.Register("d"); !errors.Is(err, ErrTooMany) {
		t.Errorf("above the limit: %v", err)
	}
	if names := fmt.Sprint(len(again.List()), again.List()[3].Name); names != "4c" {
		t.Errorf("list %s", names)
	}
	// A lower limit hides none that are there.
	if got, known := open(t, store, 1).Find("c"); !known || got.ID != c {
		t.Error("a lower limit lost a tenant")
	}
	if _, err := open(t, store, -1).Register("e"); !errors.Is(err, ErrTooMany) {
		t.Errorf("with none allowed: %v", err)
	}
}

// failing is a store that takes no writes.
type failing struct{ Store }

func (failing) Apply(*kv.Batch, kv.Durability) error { return errors.New("disk on fire") }

func TestNothingIsGivenOutThatIsNotStored(t *testing.T) {
	store := memkv.New(memkv.Options{})
	defer store.Close()
	r := open(t, failing{store}, 3)
	if _, err := r.Register("a"); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Fatalf("got %v", err)
	}
	if _, known := r.Find("a"); known {
		t.Error("a tenant that is not stored is known")
	}
}

func TestManyAtOnceGetOneNumber(t *testing.T) {
	store := memkv.New(memkv.Options{})
	defer store.Close()
	r := open(t, store, 100)
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]map[series.TenantID]bool{}
	for i := range 64 {
		all.Go(func() {
			name := fmt.Sprint("tenant-", i%8)
			got, err := r.Register(name)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if ids[name] == nil {
				ids[name] = map[series.TenantID]bool{}
			}
			ids[name][got.ID] = true
		})
	}
	all.Wait()
	numbers := map[series.TenantID]bool{}
	for name, of := range ids {
		if len(of) != 1 {
			t.Errorf("%s has %d numbers", name, len(of))
		}
		for id := range of {
			numbers[id] = true
		}
	}
	if len(numbers) != 8 {
		t.Errorf("%d numbers for 8 names", len(numbers))
	}
}

func TestNames(t *testing.T) {
	good := []string{"a", "Team-1_x.y*z'(q)!", "0", "...", strings.Repeat("a", 150)}
	bad := []string{"", ".", "..", "a b", "a|b", "a/b", "ä", "a\x00", "a\n", strings.Repeat("a", 151)}
	for _, name := range good {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range bad {
		if CheckName(name) == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestRowFormat(t *testing.T) {
	key, value := rowKey(9), encodeRow("team-a", day)
	if got := fmt.Sprintf("%x %x", key, value); got != "5400000009 018e9894e0b80100007465616d2d61" {
		t.Errorf("row is %s", got)
	}
	id, name, registered, err := decodeRow(key, value)
	if err != nil || id != 9 || name != "team-a" || !registered.Equal(day) {
		t.Errorf("%d %q %s %v", id, name, registered, err)
	}
}

func TestDamagedRowsAreNotPassedOver(t *testing.T) {
	good := encodeRow("a", day)
	rows := map[string][2][]byte{
		"short":             {rowKey(1), good[:8]},
		"version":           {rowKey(1), append([]byte{2}, good[1:]...)},
		"name":              {rowKey(1), encodeRow("a/b", day)},
		"no name":           {rowKey(1), encodeRow("", day)},
		"default's name":    {rowKey(1), encodeRow(Default, day)},
		"default's number":  {rowKey(0), good},
		"nobody's number":   {rowKey(None), good},
		"key":               {append(rowKey(1), 0), good},
		"a name used twice": {rowKey(2), encodeRow("twin", day)},
	}
	for what, row := range rows {
		store := memkv.New(memkv.Options{})
		var batch kv.Batch
		batch.Set(row[0], row[1])
		batch.Set(rowKey(77), encodeRow("twin", day))
		if err := store.Apply(&batch, kv.Sync); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), store, Options{}); !errors.Is(err, kv.ErrCorrupt) {
			t.Errorf("%s: got %v", what, err)
		}
		store.Close()
	}
}

func FuzzDecodeRow(f *testing.F) {
	f.Add(rowKey(9), encodeRow("team-a", day))
	f.Add(rowKey(0), []byte{})
	f.Add([]byte{keyspace.Tenants}, []byte{1})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		id, name, registered, err := decodeRow(key, value)
		if err != nil {
			return
		}
		if !bytes.Equal(key, rowKey(id)) || !bytes.Equal(value, encodeRow(name, registered)) {
			t.Errorf("%x %x does not survive", key, value)
		}
	})
}

func TestMetricsAreBounded(t *testing.T) {
	store := memkv.New(memkv.Options{})
	defer store.Close()
	r := open(t, store, 500)
	for i := range 200 {
		register(t, r, fmt.Sprint("tenant-", i))
	}
	register(t, r, "other")
	for _, tenant := range r.List() {
		outcome := series.Outcome{Samples: 2, Histograms: 1}
		outcome.Refused.Add(series.ReasonTooOld, 3, 1, 0, func() (string, string) { return "", "" })
		tenant.Usage.Note(&outcome)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(r, func() map[series.TenantID]int { return map[series.TenantID]int{0: 5, 150: 7, 151: 1} }))
	if n, err := testutil.GatherAndCount(registry, "varve_tenant_samples_total"); err != nil || n != shownMax+1 {
		t.Errorf("%d series, %v", n, err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			label := ""
			if len(m.Label) > 0 {
				label = m.Label[0].GetValue()
			}
			got[f.GetName()+" "+label] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"varve_tenant_samples_total anonymous": 3, "varve_tenant_refused_samples_total anonymous": 4, "varve_tenant_active_series anonymous": 5,
		"varve_tenant_samples_total other": 3 * 102, "varve_tenant_active_series other": 8, "varve_tenant_known_tenants ": 202,
	} {
		if got[name] != want {
			t.Errorf("%s is %g, want %g", name, got[name], want)
		}
	}
}
