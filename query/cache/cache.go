package cache

import (
	"container/list"
	"sync"
)

// Cache keeps the entries that were used last, within a number of bytes.
//
// It is no store of bytes off the heap: the values of an entry are one array
// without pointers, which the garbage collector does not look into, and a hit reads
// them where they are.
type Cache struct {
	bytesMax int64

	mu      sync.Mutex
	byKey   map[string]*list.Element // of held
	recent  list.List                // the one used last first
	bytes   int64
	evicted uint64
}

// held is an entry in the list.
type held struct {
	key   string
	entry *Entry
}

// entryShare is the part of a cache that one entry may take.
const entryShare = 4

// heldBytes is about what an entry takes besides its key and itself.
const heldBytes = 200

// New returns a cache of at most so many bytes.
func New(bytesMax int64) *Cache {
	return &Cache{bytesMax: bytesMax, byKey: map[string]*list.Element{}}
}

// Get returns the entry of a key, nil if there is none.
func (c *Cache) Get(key string) *Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*held).entry
}

// Set keeps an entry in the place of the key's last one, if it is not too large.
func (c *Cache) Set(key string, entry *Entry) {
	h := &held{key, entry}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.remove(e)
	}
	if h.bytes() > c.bytesMax/entryShare {
		return
	}
	c.byKey[key] = c.recent.PushFront(h)
	c.bytes += h.bytes()
	for c.bytes > c.bytesMax {
		c.remove(c.recent.Back())
		c.evicted++
	}
}

func (h *held) bytes() int64 { return int64(len(h.key)) + h.entry.bytes + heldBytes }

func (c *Cache) remove(e *list.Element) {
	h := c.recent.Remove(e).(*held)
	delete(c.byKey, h.key)
	c.bytes -= h.bytes()
}

// Usage is what a cache holds.
type Usage struct {
	Entries int
	Bytes   int64
	Evicted uint64 // since it was made
}

// Usage returns what the cache holds.
func (c *Cache) Usage() Usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Usage{Entries: len(c.byKey), Bytes: c.bytes, Evicted: c.evicted}
}
