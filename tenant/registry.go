package tenant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
)

// ErrTooMany means that there are as many tenants as there may be.
var ErrTooMany = errors.New("too many tenants")

// Options tune a Registry. The zero value works.
type Options struct {
	// Max bounds the tenants, the default one apart; default 1,000, none when below
	// zero.
	Max int
	Now func() time.Time
	// Log is told of refused series; default: none.
	Log *slog.Logger
}

// Tenant is one of them.
type Tenant struct {
	ID         series.TenantID
	Name       string
	Registered time.Time
	Usage      Usage

	limits  atomic.Pointer[Limits]
	pace    pace
	refused refusals
}

// Store is where the tenants are kept.
type Store interface {
	Scan(lower, upper []byte) (kv.Iterator, error)
	Apply(batch *kv.Batch, durability kv.Durability) error
}

// Registry gives names numbers.
type Registry struct {
	store Store
	max   int
	now   func() time.Time
	log   *slog.Logger
	// limits is never nil.
	limits atomic.Pointer[LimitSet]

	registerMu sync.Mutex // held while a row is written
	mu         sync.RWMutex
	byName     map[string]*Tenant
	byID       map[series.TenantID]*Tenant
	last       series.TenantID // the greatest number
}

// Open reads the tenants of store.
func Open(ctx context.Context, store Store, o Options) (*Registry, error) {
	if o.Max == 0 {
		o.Max = 1000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{store: store, max: o.Max, now: o.Now, log: o.Log, byName: map[string]*Tenant{}, byID: map[series.TenantID]*Tenant{}}
	r.limits.Store(&LimitSet{})
	r.add(&Tenant{ID: series.DefaultTenant, Name: Default})
	if err := r.load(ctx); err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	return r, nil
}

func (r *Registry) load(ctx context.Context) error {
	lower := []byte{keyspace.Tenants}
	it, err := r.store.Scan(lower, keyspace.PrefixEnd(lower))
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.SeekGE(lower); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		id, name, registered, err := decodeRow(it.Key(), it.Value())
		if err != nil {
			return errors.Join(err, it.Err())
		}
		if twin, ok := r.Find(name); ok {
			return fmt.Errorf("tenants %d and %d are both called %q: %w", twin.ID, id, name, kv.ErrCorrupt)
		}
		r.add(&Tenant{ID: id, Name: name, Registered: registered})
	}
	return it.Err()
}

func (r *Registry) add(t *Tenant) {
	t.setLimits(r.LimitsOf(t.Name))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byName[t.Name], r.byID[t.ID] = t, t
	r.last = max(r.last, t.ID)
}

// Find returns the tenant called name, if there is one.
func (r *Registry) Find(name string) (*Tenant, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t, ok := r.byName[name]
	return t, ok
}

// ByID returns the tenant with a number, nil if there is none.
func (r *Registry) ByID(id series.TenantID) *Tenant {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

// Register returns the tenant called name. A new one is durable by then.
func (r *Registry) Register(name string) (*Tenant, error) {
	if t, ok := r.Find(name); ok {
		return t, nil
	}
	if err := CheckName(name); err != nil {
		return nil, err
	}
	r.registerMu.Lock()
	defer r.registerMu.Unlock()
	if t, ok := r.Find(name); ok {
		return t, nil
	}
	r.mu.RLock()
	count, id := len(r.byID)-1, r.last+1
	r.mu.RUnlock()
	if count >= r.max {
		return nil, fmt.Errorf("%w: there are %d, which is the limit (tenants.max)", ErrTooMany, count)
	}
	if id == None {
		return nil, fmt.Errorf("%w: all numbers are used", ErrTooMany)
	}
	t := &Tenant{ID: id, Name: name, Registered: r.now().UTC().Truncate(time.Millisecond)}
	var batch kv.Batch
	batch.Set(rowKey(id), encodeRow(name, t.Registered))
	if err := r.store.Apply(&batch, kv.Sync); err != nil {
		return nil, fmt.Errorf("register tenant %q: %w", name, err)
	}
	r.add(t)
	return t, nil
}

// List returns all tenants by number.
func (r *Registry) List() []*Tenant {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.SortedFunc(maps.Values(r.byID), func(a, b *Tenant) int { return cmp.Compare(a.ID, b.ID) })
}
