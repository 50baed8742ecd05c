package column

import "encoding/binary"

// bitWriter appends values of 0 to 64 bits to dst, least significant bit first.
type bitWriter struct {
	dst  []byte
	word uint64
	used int // bits of word in use, below 64
}

// add appends the n low bits of v; the others must be 0.
func (w *bitWriter) add(v uint64, n int) {
	w.word |= v << w.used
	if w.used+n < 64 {
		w.used += n
		return
	}
	w.dst = binary.LittleEndian.AppendUint64(w.dst, w.word)
	w.word = v >> (64 - w.used) // 0 if used is 0
	w.used += n - 64
}

// finish appends the last, unfinished bytes.
func (w *bitWriter) finish() []byte {
	for ; w.used > 0; w.used -= 8 {
		w.dst = append(w.dst, byte(w.word))
		w.word >>= 8
	}
	return w.dst
}
