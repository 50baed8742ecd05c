package column

import "math/bits"

// lengths counts the values of a stream by their length in bits.
type lengths [65]int32

func (h *lengths) add(u uint64) { h[bits.Len64(u)]++ }

// addAll adds all values. Neighbours mostly have the same length, and a second
// count of one has to wait for the first: so they are counted apart.
func (h *lengths) addAll(u []uint64) {
	var odd lengths
	for ; len(u) >= 2; u = u[2:] {
		h[bits.Len64(u[0])]++
		odd[bits.Len64(u[1])]++
	}
	for _, v := range u {
		h.add(v)
	}
	for length, count := range odd {
		h[length] += count
	}
}

// longest returns the greatest length that occurs.
func (h *lengths) longest() int {
	for w := 64; w > 0; w-- {
		if h[w] > 0 {
			return w
		}
	}
	return 0
}

// width returns the width at which n values take the least room packed as one
// block, the number of values that need patches then, and the room in bits.
func (h *lengths) width(n int) (width, patches, size int) {
	longest := h.longest()
	width, size = longest, n*longest
	over := 0
	for w := longest - 1; w >= 0; w-- {
		over += int(h[w+1])
		if over > n/4+1 || over > patchesMax {
			break
		}
		cost := n*w + 8
		for b := w + 1; b <= longest; b++ {
			cost += int(h[b]) * (8 + 8*((b-w+6)/7))
		}
		if cost < size {
			width, patches, size = w, over, cost
		}
	}
	return width, patches, size
}

// estimate returns about how many bits n values take as a stream, whose lengths
// h counts, under the settings s.
func (s *settings) estimate(h *lengths, n int) int {
	other := n - int(h[0])
	if other == 0 {
		return 0
	}
	_, _, size := h.width(n)
	size += 8 * ((n + blockSize - 1) / blockSize)
	if other < n/3 {
		sparse := float64(other) * (log2(n) - log2(other) + 2)
		for b := 1; b <= 64; b++ {
			sparse += float64(float64(h[b]) * float64(b-1))
		}
		size = min(size, int(sparse)+32)
	}
	if n >= s.huffmanSamplesMin {
		tok, all := 0.0, log2(n)
		for b, count := range h {
			if count > 0 {
				tok += float64(float64(count) * (all - log2(int(count)) + float64(max(b-1, 0))))
			}
		}
		size = min(size, int((tok+tableBits)/s.huffmanSize))
	}
	return size
}

// tableBits is about what a Huffman table takes.
const tableBits = 8 * 24

// log2 returns about the logarithm of n, at least 1, to 0.01; unlike
// math.Log2 it is the same on every processor, so that columns are encoded the
// same.
func log2(n int) float64 {
	whole := bits.Len(uint(n)) - 1
	f := float64(n)/float64(int(1)<<whole) - 1
	return float64(whole) + f + float64(float64(0.346*f)*(1-f))
}
