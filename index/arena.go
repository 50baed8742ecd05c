package index

// byteArena holds byte strings in large blocks. A released string's place goes
// to the next string of the same length: label values of one kind (pods,
// containers, instances) mostly have few lengths.
type byteArena struct {
	blocks [][]byte
	used   int // of the last block
	spare  map[int][]uint64
}

const byteBlock = 1 << 20

func (a *byteArena) get(at uint64, n int) []byte {
	offset := at & (byteBlock - 1)
	return a.blocks[at/byteBlock][offset : int(offset)+n : int(offset)+n]
}

func (a *byteArena) put(b []byte) uint64 {
	if places := a.spare[len(b)]; len(places) > 0 {
		at := places[len(places)-1]
		a.spare[len(b)] = places[:len(places)-1]
		copy(a.get(at, len(b)), b)
		return at
	}
	if len(a.blocks) == 0 || a.used+len(b) > byteBlock {
		a.blocks = append(a.blocks, make([]byte, max(byteBlock, len(b))))
		a.used = 0
	}
	at := uint64(len(a.blocks)-1)*byteBlock + uint64(a.used)
	copy(a.blocks[len(a.blocks)-1][a.used:], b)
	a.used += len(b)
	return at
}

func (a *byteArena) release(at uint64, n int) {
	if a.spare == nil {
		a.spare = map[int][]uint64{}
	}
	a.spare[n] = append(a.spare[n], at)
}

// listArena holds lists of pairs, in the same manner.
type listArena struct {
	blocks [][]pairID
	used   int
	spare  map[int][]listAt
}

// listAt is a list's place: block number and offset.
type listAt uint64

const listBlock = 1 << 16

func (a *listArena) get(at listAt, n int) []pairID {
	if n == 0 {
		return nil
	}
	offset := at & (listBlock - 1)
	return a.blocks[at/listBlock][offset : int(offset)+n : int(offset)+n]
}

func (a *listArena) put(list []pairID) listAt {
	n := len(list)
	if n == 0 {
		return 0
	}
	if places := a.spare[n]; len(places) > 0 {
		at := places[len(places)-1]
		a.spare[n] = places[:len(places)-1]
		copy(a.get(at, n), list)
		return at
	}
	if len(a.blocks) == 0 || a.used+n > listBlock {
		a.blocks = append(a.blocks, make([]pairID, listBlock))
		a.used = 0
	}
	at := listAt(len(a.blocks)-1)*listBlock + listAt(a.used)
	copy(a.blocks[len(a.blocks)-1][a.used:], list)
	a.used += n
	return at
}

func (a *listArena) release(at listAt, n int) {
	if n == 0 {
		return
	}
	if a.spare == nil {
		a.spare = map[int][]listAt{}
	}
	a.spare[n] = append(a.spare[n], at)
}
