package tsdb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varve-db/varve/index"
	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/tsdb/block"
	"github.com/varve-db/varve/tsdb/head"
)

// What callers branch on.
var (
	// ErrBacklog means that flushing is so far behind that appends must wait:
	// try again later.
	ErrBacklog = errors.New("too many samples wait to be flushed")
	// ErrClosed means that the database is closed.
	ErrClosed = errors.New("database is closed")
)

// Options tune a DB. Zero fields mean the defaults.
type Options struct {
	// Now is the clock; the default is time.Now.
	Now func() time.Time
	// Random returns random bits, for the node's identity and for hashing; the
	// default is seeded from the clock.
	Random func() uint64
	// Log receives events; the default drops them.
	Log *slog.Logger
	// Registerer receives the metrics; nil means none.
	Registerer prometheus.Registerer

	// Width is a partition's window; it must divide a day or be a multiple of
	// one. Default 24 h.
	Width time.Duration
	// Retention is how far back samples are accepted and read, until SetLifetimes
	// says more; 0 means for ever.
	Retention time.Duration
	// AheadMax is how far ahead of the clock a sample may be. Default 10 min.
	AheadMax time.Duration
	// EpochAgeMax and EpochBytesMax say when an epoch is frozen to be flushed.
	// Defaults 10 min and 256 MiB. One whose samples come much faster than the
	// clock goes is frozen earlier.
	EpochAgeMax   time.Duration
	EpochBytesMax int64
	// EpochPartitionsMax bounds the partitions that one epoch may touch.
	// Default 400.
	EpochPartitionsMax int
	// BacklogMax bounds the frozen epochs that wait to be flushed; beyond it
	// Append returns ErrBacklog. Default 4.
	BacklogMax int
	// Quota bounds the series of tenants; nil: nothing does.
	Quota Quota
	// Yield is called by work that nobody waits for, such as seals that are due,
	// every few milliseconds. It may pause for queries that run meanwhile, some
	// milliseconds at a time: a seal waits no longer than it works. Its error
	// ends the work. The default goes on at once.
	Yield func(ctx context.Context) error
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		state := uint64(o.Now().UnixNano())
		o.Random = func() uint64 { // SplitMix64 (Steele et al., OOPSLA 2014)
			z := atomic.AddUint64(&state, 0x9e3779b97f4a7c15)
			z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
			z = (z ^ z>>27) * 0x94d049bb133111eb
			return z ^ z>>31
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Width == 0 {
		o.Width = 24 * time.Hour
	}
	if o.AheadMax == 0 {
		o.AheadMax = 10 * time.Minute
	}
	if o.EpochAgeMax == 0 {
		o.EpochAgeMax = 10 * time.Minute
	}
	if o.EpochBytesMax == 0 {
		o.EpochBytesMax = 256 << 20
	}
	if o.EpochPartitionsMax == 0 {
		o.EpochPartitionsMax = 400
	}
	if o.BacklogMax == 0 {
		o.BacklogMax = 4
	}
	return o
}

// Store is what a DB needs of its keyspace.
type Store interface {
	kv.Store
	kv.Ingester
	kv.Exciser
}

// DB is one node's time series.
type DB struct {
	store   Store
	options Options
	log     *slog.Logger
	metrics *metrics
	node    Node

	table    *index.Table
	slabs    head.Slabs
	metadata metadataTable
	clocks
	views
	changeLogs
	maintenance
	eraser

	// epochMu guards the change of the open epoch: appends hold it shared while
	// they take a reference.
	epochMu sync.RWMutex
	epoch   *openEpoch
	closed  atomic.Bool
}

// clocks are the counters and bounds of time that appends consult.
type clocks struct {
	counter atomic.Uint64 // of log records, per incarnation
	clock   atomic.Uint64 // hybrid logical clock of the last record
	horizon atomic.Int64  // samples before it are gone
	// lifetimes say how far back samples are accepted and read.
	lifetimes atomic.Pointer[[]Lifetime]
	// believed is the time by which samples are removed for their age; nil: none are.
	believed atomic.Pointer[time.Time]
}

// views is what readers see.
type views struct {
	viewMu  sync.Mutex
	view    *view
	alive   map[uint64]struct{} // epochs that some view names
	damaged map[damage]struct{}

	times *block.TimesCache // of sealed generations
	facts *block.Facts      // of sealed generations
	// unreadable are the generations whose summaries could not be read at the
	// start. They are left as they are; answers about their time say so.
	unreadable []block.ID
}

// maintenance is the state of flushing, sealing and dropping.
type maintenance struct {
	sealMu    sync.Mutex // one seal at a time
	lastSeal  map[partition]time.Time
	sealRests map[partition]time.Time // those whose seal failed: not before this time
	// sealsWanted is how many seals were asked for and have not ended; sealing is
	// how far the running one is. sealMu does not guard them.
	sealsWanted atomic.Int64
	sealing     sealProgress
	deletions   deletions
	// widths are those of windows to make; downsampleRests is as sealRests.
	widths          atomic.Pointer[[]time.Duration]
	downsampleRests map[partition]time.Time

	flushMu     sync.Mutex // one flush at a time
	generations openGenerations
	unsettled   bool          // the last flush failed, and may be stored nevertheless
	wake        chan struct{} // an epoch wants to be frozen

	dropMu sync.Mutex // the horizon stands still while it is held
}

// openEpoch is an epoch that requests still append to, or did until it froze.
type openEpoch struct {
	*head.Epoch
	active   sync.WaitGroup
	sequence atomic.Uint64
	opened   time.Time

	mu         sync.Mutex
	partitions map[partition]struct{}
	counters   []block.CounterRange // of the batches appended, at most one an origin
}

// note remembers that the epoch holds a batch.
func (e *openEpoch) note(origin, counter uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.counters {
		if c := &e.counters[i]; c.Origin == origin {
			c.First, c.Last = min(c.First, counter), max(c.Last, counter)
			return
		}
	}
	e.counters = append(e.counters, block.CounterRange{Origin: origin, First: counter, Last: counter})
}

// partition names a window of a tenant.
type partition struct {
	tenant series.TenantID
	start  int64
}

// Open opens the database in store, recovering what its log holds.
func Open(ctx context.Context, store kv.Store, o Options) (*DB, error) {
	o = o.withDefaults()
	full, ok := store.(Store)
	if !ok {
		return nil, fmt.Errorf("open database: the store %T cannot ingest tables or excise spans", store)
	}
	if day := 24 * time.Hour; o.Width < time.Minute || o.Width%time.Millisecond != 0 || o.Width < day && day%o.Width != 0 || o.Width > day && o.Width%day != 0 {
		return nil, fmt.Errorf("open database: the partition width %s neither divides a day nor is a multiple of one", o.Width)
	}
	db := &DB{
		store: full, options: o, log: o.Log,
		table:       index.New(index.Options{Seed: o.Random(), Now: o.Now}),
		views:       views{damaged: map[damage]struct{}{}, alive: map[uint64]struct{}{}, times: block.NewTimesCache(timesCacheBytes), facts: block.NewFacts(factsBytes)},
		maintenance: maintenance{wake: make(chan struct{}, 1), lastSeal: map[partition]time.Time{}, sealRests: map[partition]time.Time{}, downsampleRests: map[partition]time.Time{}},
	}
	db.SetRetention(o.Retention)
	db.metrics = newMetrics(db, o.Registerer)
	if err := db.recover(ctx); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return db, nil
}

// Close waits for appends, flushes and seals under way and releases memory. What is in
// the log and not flushed is recovered by the next Open. The store stays open.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	db.epochMu.Lock() // whoever entered an epoch has done so, and no epoch opens any more
	v, err := db.acquire()
	db.epochMu.Unlock()
	if err != nil {
		return err
	}
	for _, e := range v.epochs {
		e.active.Wait()
	}
	db.release(v)
	db.sealMu.Lock() // a seal under way sees that the database is closed
	defer db.sealMu.Unlock()
	db.flushMu.Lock()
	defer db.flushMu.Unlock()
	db.viewMu.Lock()
	last := db.view
	db.view = nil
	db.viewMu.Unlock()
	db.release(last)
	db.slabs.Close()
	db.metrics.unregister()
	return nil
}

// Run freezes and flushes epochs as they fall due, until ctx ends.
func (db *DB) Run(ctx context.Context) error {
	tick := time.NewTicker(min(time.Second, db.options.EpochAgeMax))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-db.wake:
		}
		if err := db.Step(ctx); err != nil && ctx.Err() == nil {
			db.log.Error("flush failed", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
		}
	}
}

// Step does what is due at the present time of the clock: it freezes the epoch
// if it is old, large or ahead of the clock, and flushes what is frozen.
func (db *DB) Step(ctx context.Context) error {
	db.epochMu.RLock()
	open := db.epoch
	db.epochMu.RUnlock()
	if open.sequence.Load() > 0 && open.state(db.options.Now()).due(&db.options) {
		db.freeze()
	}
	return db.flushFrozen(ctx)
}

// Flush writes all that has been appended out as chunks.
func (db *DB) Flush(ctx context.Context) error {
	db.freeze()
	return db.flushFrozen(ctx)
}

// freeze opens the next epoch and waits for the requests of the last one.
func (db *DB) freeze() {
	db.epochMu.Lock()
	old := db.epoch
	if db.closed.Load() || old.sequence.Load() == 0 {
		db.epochMu.Unlock()
		return
	}
	db.openEpoch(old.ID + 1)
	db.epochMu.Unlock()
	old.active.Wait()
}

// openEpoch makes a new epoch the current one. The caller holds epochMu, or is
// alone.
func (db *DB) openEpoch(id uint64) {
	e := &openEpoch{
		Epoch: head.NewEpoch(id, &db.slabs), opened: db.options.Now(), partitions: map[partition]struct{}{},
	}
	db.epoch = e
	db.swapView(func(v *view) {
		v.epochs = append(v.epochs, &heldEpoch{openEpoch: e, refs: new(atomic.Int64)})
		db.alive[id] = struct{}{}
	})
}

// window returns the start of the partition that t lies in.
func (db *DB) window(t int64) int64 {
	width := db.options.Width.Milliseconds()
	start := t - t%width
	if start > t {
		start -= width
	}
	return start
}

// Times outside [timeMin, timeMax] are refused whatever the retention is, so
// that windows can be computed without overflow.
const (
	timeMin = math.MinInt64 / 4
	timeMax = math.MaxInt64 / 4
)

func epochKey(family byte, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{family}, epoch)
}
