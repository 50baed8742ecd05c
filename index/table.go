package index

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/varve-db/varve/series"
)

// Ref is a series' number in a Table; 0 is none.
type Ref uint32

const (
	pageBits = 10
	// PageRefs is the number of neighbouring refs that are kept together.
	PageRefs = 1 << pageBits
)

// Options tune a Table.
type Options struct {
	// Seed makes hashes unpredictable to senders.
	Seed uint64
	// Now is the clock by which births are counted; the default is time.Now.
	Now func() time.Time
}

// Table gives label sets references.
type Table struct {
	seed uint64
	now  func() time.Time

	mu    sync.RWMutex
	pages []*[PageRefs]entry
	top   Ref   // refs below top have been handed out
	free  []Ref // handed out again first
	live  int
	// tenants counts the live series of each.
	tenants map[series.TenantID]int
	// large counts the series of metrics that are near a limit.
	large map[metricKey]int
	slots []slot // open addressing with linear probing, a power of two
	pairs pairTable
	lists listArena
	churn churn
	dead  []Ref // removed from slots, still in postings
}

// entry is the pointer-free state of one series.
type entry struct {
	hash   uint64
	labels listAt        // its pairs, in label order
	next   atomic.Uint32 // the series that followed it in the last request
	// registered is the last epoch whose log is known to hold the labels;
	// seen is the last epoch in which a request named the series. Both are
	// the low 32 bits of the epoch.
	registered atomic.Uint32
	seen       atomic.Uint32
	tenant     series.TenantID
	count      uint16 // labels
	live       bool
}

// see notes that a request of epoch named the series. A request of an epoch that
// is being frozen must not take back what one of the next epoch noted.
func (e *entry) see(epoch uint32) {
	for {
		last := e.seen.Load()
		if int32(epoch-last) <= 0 || e.seen.CompareAndSwap(last, epoch) {
			return
		}
	}
}

type slot struct {
	tag uint32 // high half of the hash
	ref Ref    // 0: free
}

// New returns an empty table.
func New(o Options) *Table {
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Table{seed: o.Seed, now: o.Now, top: 1, slots: make([]slot, 1024), tenants: map[series.TenantID]int{}}
	t.pairs.init(o.Seed)
	return t
}

func (t *Table) entry(r Ref) *entry { return &t.pages[r>>pageBits][r&(PageRefs-1)] }

// Len returns the number of live series.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.live
}

// Resolve returns the reference of each row of batch, appended to refs,
// creating series that are new. It marks them as seen in epoch; created counts
// the new ones.
func (t *Table) Resolve(tenant series.TenantID, batch *series.Batch, epoch uint32, refs []Ref) (_ []Ref, created int) {
	return t.ResolveWithin(tenant, batch, epoch, refs, nil)
}

// known appends the references of the rows whose series are known, 0 for others,
// and counts these.
func (t *Table) known(tenant series.TenantID, batch *series.Batch, epoch uint32, refs []Ref) (_ []Ref, misses int) {
	t.mu.RLock()
	var last Ref
	for i := range batch.Rows {
		ls := batch.Labels(i)
		ref := t.guess(last, tenant, ls)
		if ref == 0 {
			if ref = t.find(t.hash(tenant, ls), tenant, ls); ref == 0 {
				misses++
			} else if last != 0 {
				t.entry(last).next.Store(uint32(ref))
			}
		}
		if ref != 0 {
			t.entry(ref).see(epoch)
		}
		refs = append(refs, ref)
		last = ref
	}
	t.mu.RUnlock()
	return refs, misses
}

// guess tries the series that followed last in an earlier request: senders
// repeat their order, so it is right nearly always.
func (t *Table) guess(last Ref, tenant series.TenantID, ls series.Labels) Ref {
	if last == 0 {
		return 0
	}
	ref := Ref(t.entry(last).next.Load())
	if ref == 0 {
		return 0
	}
	if e := t.entry(ref); e.live && e.tenant == tenant && t.equal(e, ls) {
		return ref
	}
	return 0
}

// create adds the series of the rows whose ref is 0.
func (t *Table) create(tenant series.TenantID, batch *series.Batch, epoch uint32, refs []Ref, n newcomers) (created int) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	births := t.churn.slot(now)
	sample := uint64(1 + n.misses/churnLookedAt)
	var last Ref
	comer := Newcomer{table: t, tenant: tenant}
	for i, ref := range refs {
		if ref == 0 {
			ls := batch.Labels(i)
			hash := t.hash(tenant, ls)
			if ref = t.find(hash, tenant, ls); ref == 0 { // it may have come in two rows
				if n.admit != nil {
					comer.Row, comer.Have, comer.labels = i, t.tenants[tenant], ls
					if !n.admit(&comer) {
						last = 0
						continue
					}
				}
				ref = t.add(hash, tenant, ls, births)
				t.entry(ref).seen.Store(epoch)
				t.churn.born(births, tenant, ls, hash, sample)
				created++
			}
			t.entry(ref).see(epoch)
			refs[i] = ref
			if last != 0 {
				t.entry(last).next.Store(uint32(ref))
			}
		}
		last = ref
	}
	return created
}

func (t *Table) hash(tenant series.TenantID, ls series.Labels) uint64 {
	return xxh3.HashSeed(ls, t.seed^uint64(tenant)*0x9e3779b97f4a7c15)
}

// find looks a label set up by its hash; labels are always compared.
func (t *Table) find(hash uint64, tenant series.TenantID, ls series.Labels) Ref {
	mask := uint64(len(t.slots) - 1)
	tag := uint32(hash >> 32)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		if s.ref == 0 {
			return 0
		}
		if s.tag == tag {
			if e := t.entry(s.ref); e.hash == hash && e.tenant == tenant && t.equal(e, ls) {
				return s.ref
			}
		}
	}
}

// equal reports whether e has exactly the labels ls.
func (t *Table) equal(e *entry, ls series.Labels) bool {
	for _, id := range t.lists.get(e.labels, int(e.count)) {
		segment := t.pairs.segment(id)
		if len(ls) < len(segment) || string(ls[:len(segment)]) != string(segment) {
			return false
		}
		ls = ls[len(segment):]
	}
	return len(ls) == 0
}

// add creates a series. ls must be well-formed.
func (t *Table) add(hash uint64, tenant series.TenantID, ls series.Labels, births *churnSlot) Ref {
	var ref Ref
	if n := len(t.free); n > 0 {
		ref, t.free = t.free[n-1], t.free[:n-1]
	} else {
		ref = t.top
		t.top++
		if int(ref>>pageBits) == len(t.pages) {
			t.pages = append(t.pages, new([PageRefs]entry))
		}
	}
	var scratch [64]pairID
	ids := scratch[:0]
	for rest := ls; len(rest) > 0; {
		name, _, after, ok := rest.CutPair()
		if !ok {
			break
		}
		pairs := t.pairs.live
		ids = append(ids, t.pairs.intern(name, rest[:len(rest)-len(after)]))
		if t.pairs.live != pairs {
			t.churn.value(births, tenant, name)
		}
		rest = after
	}
	for _, id := range ids {
		t.pairs.post(id, ref)
	}
	e := t.entry(ref)
	e.hash, e.tenant, e.count, e.live = hash, tenant, uint16(len(ids)), true
	e.labels = t.lists.put(ids)
	e.next.Store(0)
	e.registered.Store(0)
	e.seen.Store(0)
	t.live++
	t.tenants[tenant]++
	t.grow(tenant, ls)
	t.insertSlot(hash, ref)
	return ref
}

func (t *Table) insertSlot(hash uint64, ref Ref) {
	if (t.live+1)*4 > len(t.slots)*3 {
		t.growSlots()
	}
	placeSlot(t.slots, hash, ref)
}

func placeSlot(slots []slot, hash uint64, ref Ref) {
	mask := uint64(len(slots) - 1)
	i := hash & mask
	for slots[i].ref != 0 {
		i = (i + 1) & mask
	}
	slots[i] = slot{uint32(hash >> 32), ref}
}

func (t *Table) growSlots() {
	grown := make([]slot, 2*len(t.slots))
	for _, s := range t.slots {
		if s.ref != 0 {
			placeSlot(grown, t.entry(s.ref).hash, s.ref)
		}
	}
	t.slots = grown
}

// removeSlot closes the gap that it leaves (backward shift deletion, Knuth
// TAOCP vol. 3, 6.4, algorithm R).
func (t *Table) removeSlot(hash uint64, ref Ref) {
	mask := uint64(len(t.slots) - 1)
	i := hash & mask
	for t.slots[i].ref != ref {
		i = (i + 1) & mask
	}
	for j := i; ; {
		t.slots[i] = slot{}
		for {
			j = (j + 1) & mask
			if t.slots[j].ref == 0 {
				return
			}
			home := t.entry(t.slots[j].ref).hash & mask
			if (j-home)&mask >= (j-i)&mask {
				break
			}
		}
		t.slots[i] = t.slots[j]
		i = j
	}
}

// Registered appends to rows the indices of refs whose labels are not yet known
// to be in the log of epoch.
func (t *Table) Registered(refs []Ref, epoch uint32, rows []int) []int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i, ref := range refs {
		if t.entry(ref).registered.Load() != epoch {
			rows = append(rows, i)
		}
	}
	return rows
}

// SetRegistered notes that the labels of the given rows' refs are in the log of epoch.
func (t *Table) SetRegistered(refs []Ref, rows []int, epoch uint32) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, i := range rows {
		t.entry(refs[i]).registered.Store(epoch)
	}
}

// AppendLabels appends the labels of ref to dst.
func (t *Table) AppendLabels(dst []byte, ref Ref) series.Labels {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e := t.entry(ref)
	for _, id := range t.lists.get(e.labels, int(e.count)) {
		dst = append(dst, t.pairs.segment(id)...)
	}
	return dst
}

// Tenant returns the tenant of ref.
func (t *Table) Tenant(ref Ref) series.TenantID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.entry(ref).tenant
}

// Pair is one label as a row of postings: its encoded name and value, and the
// positions, ascending, of the refs that have it.
type Pair struct {
	Segment   series.Labels
	Positions []uint32
}

// Pairs returns the labels of refs ordered by name and value, each with base
// plus the positions in refs of the series that have it.
func (t *Table) Pairs(refs []Ref, base uint32) []Pair {
	t.mu.RLock()
	defer t.mu.RUnlock()
	counts := make([]uint32, len(t.pairs.entries))
	total := 0
	for _, ref := range refs {
		e := t.entry(ref)
		for _, id := range t.lists.get(e.labels, int(e.count)) {
			counts[id]++
		}
		total += int(e.count)
	}
	positions := make([]uint32, total)
	ends := counts
	var pairs []Pair
	owner := make([]uint32, len(counts)) // pair id -> index into pairs
	at := 0
	for id, n := range counts {
		if n > 0 {
			owner[id] = uint32(len(pairs))
			pairs = append(pairs, Pair{Segment: t.pairs.segment(pairID(id)), Positions: positions[at : at : at+int(n)]})
			at += int(n)
		}
		ends[id] = 0
	}
	for i, ref := range refs {
		e := t.entry(ref)
		for _, id := range t.lists.get(e.labels, int(e.count)) {
			p := &pairs[owner[id]]
			p.Positions = append(p.Positions, base+uint32(i))
		}
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return series.Compare(a.Segment, b.Segment) })
	return pairs
}
