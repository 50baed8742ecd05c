package index

// heavy counts what is added most often, in bounded memory (Space-Saving,
// Metwally, Agrawal and El Abbadi, ICDT 2005): when all counters are taken, the
// smallest goes over to the newcomer, which inherits its count as what it may
// have too much.
type heavy struct {
	limit    int
	at       map[string]int // place in counters
	counters []counter      // a heap, the smallest first
}

type counter struct {
	name  string
	count uint64
	// inherited is how much of count may belong to others.
	inherited uint64
}

func newHeavy(limit int) *heavy { return &heavy{limit: limit, at: map[string]int{}} }

// add counts name n more times, and copies it only if it is new.
func (h *heavy) add(name []byte, n uint64) {
	i, known := h.at[string(name)]
	switch {
	case known:
		h.counters[i].count += n
	case len(h.counters) < h.limit:
		i = len(h.counters)
		h.counters = append(h.counters, counter{name: string(name), count: n})
		h.at[h.counters[i].name] = i
		h.up(i)
		return
	default:
		smallest := &h.counters[0]
		delete(h.at, smallest.name)
		*smallest = counter{name: string(name), count: smallest.count + n, inherited: smallest.count}
		h.at[smallest.name] = 0
	}
	h.down(i)
}

// each calls do with everything that is counted and how often it was added at
// least.
func (h *heavy) each(do func(name string, atLeast uint64)) {
	for _, c := range h.counters {
		do(c.name, c.count-c.inherited)
	}
}

func (h *heavy) up(i int) {
	for i > 0 && h.counters[i].count < h.counters[(i-1)/2].count {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (h *heavy) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.counters); child++ {
			if h.counters[child].count < h.counters[least].count {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

func (h *heavy) swap(i, j int) {
	h.counters[i], h.counters[j] = h.counters[j], h.counters[i]
	h.at[h.counters[i].name], h.at[h.counters[j].name] = i, j
}
