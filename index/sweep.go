package index

import "github.com/varve-db/varve/series"

// sweepBatch bounds how many series are removed under one hold of the lock.
const sweepBatch = 16384

// Sweep removes the series that were last seen in an epoch before oldest, and
// passes them to removed before their references can be handed out again. It
// postpones the work until enough has come together to be worth it.
func (t *Table) Sweep(oldest uint32, removed func([]Ref)) (swept int) {
	t.collectDead(oldest)
	for {
		t.mu.Lock()
		n := min(len(t.dead), sweepBatch)
		if len(t.dead) == 0 || swept == 0 && len(t.dead) < max(256, t.live/16) {
			t.mu.Unlock()
			return swept
		}
		batch := t.dead[len(t.dead)-n:]
		t.unpost(batch)
		removed(batch)
		t.free = append(t.free, batch...)
		t.dead = t.dead[:len(t.dead)-n]
		t.mu.Unlock()
		swept += n
	}
}

// collectDead takes out of the hash table what no epoch from oldest on has seen.
func (t *Table) collectDead(oldest uint32) {
	t.mu.RLock()
	pages := len(t.pages)
	t.mu.RUnlock()
	for p := range pages {
		t.mu.Lock()
		page := t.pages[p]
		for i := range page {
			e := &page[i]
			if e.live && int32(e.seen.Load()-oldest) < 0 {
				ref := Ref(p<<pageBits | i)
				t.removeSlot(e.hash, ref)
				e.live = false
				t.live--
				t.leave(e.tenant)
				clear(t.large) // they are counted anew
				t.dead = append(t.dead, ref)
			}
		}
		t.mu.Unlock()
	}
}

// leave counts a series less for its tenant.
func (t *Table) leave(tenant series.TenantID) {
	if t.tenants[tenant]--; t.tenants[tenant] == 0 {
		delete(t.tenants, tenant)
	}
}

// unpost removes dead series from the postings of their pairs.
func (t *Table) unpost(dead []Ref) {
	var dirty []pairID
	for _, ref := range dead {
		e := t.entry(ref)
		for _, id := range t.lists.get(e.labels, int(e.count)) {
			if p := &t.pairs.entries[id]; !p.dirty {
				p.dirty = true
				dirty = append(dirty, id)
			}
		}
		t.lists.release(e.labels, int(e.count))
		e.count = 0
	}
	// A dead series that waits for a later batch still has its labels.
	gone := func(ref Ref) bool { e := t.entry(ref); return !e.live && e.count == 0 }
	for _, id := range dirty {
		t.pairs.filter(id, gone)
	}
}
