package column

import (
	"encoding/binary"
	"math/bits"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
)

// appendNested appends the form of the stream u and the stream; it is not
// sparse.
func (e *Encoder) appendNested(dst []byte, u []uint64) []byte {
	at := len(dst)
	dst, form := e.appendStreamDense(append(dst, 0), u)
	dst[at] = form
	return dst
}

// sparseSize is what a sparse stream must be below, relative to the packed one,
// if more than an eighth of its values are not 0: then it is slower to decode.
const sparseSize = 0.9

// appendStream appends the stream u in the form it chooses.
func (e *Encoder) appendStream(dst []byte, u []uint64) (out []byte, form byte) {
	n := len(u)
	m := 0 // values other than 0
	last := -1
	for i, v := range u {
		if v != 0 {
			if 3*m >= n {
				return e.appendStreamDense(dst, u)
			}
			e.gaps[m], e.values[m] = uint64(i-last-1), v-1
			last = i
			m++
		}
	}
	if m == 0 {
		return dst, streamZero
	}
	gaps, values := e.gaps[:m], e.values[:m]
	sparse := 3 + packedSize(gaps) + packedSize(values)
	packed := float64(packedSize(u))
	if 8*m > n {
		packed *= sparseSize
	}
	if float64(sparse) > packed || 3*m >= n {
		return e.appendStreamDense(dst, u)
	}
	dst = binary.AppendUvarint(dst, uint64(m))
	dst = e.appendNested(dst, gaps)
	return e.appendNested(dst, values), streamSparse
}

// appendStreamDense appends the stream u in the form, other than sparse, that it
// chooses.
func (e *Encoder) appendStreamDense(dst []byte, u []uint64) (out []byte, form byte) {
	n := len(u)
	var counts [256]uint16
	packed, extra := e.look(u, &counts)
	if int(counts[0]) == n {
		return dst, streamZero
	}
	size, kinds := entropySize(&counts, n)
	switch {
	case kinds == 1 && 1+extra < packed:
		dst = append(dst, e.tok[0])
		return appendExtra(dst, u, e.tok[:n]), streamRLE
	case n >= e.huffmanSamplesMin && kinds > 1:
		most := int(e.huffmanSize*float64(packed)) - extra
		if size <= most || e.zstdSize > 0 {
			if out, form, ok := e.appendCompressed(dst, u, most); ok {
				return out, form
			}
		}
	}
	if float64(n+extra) < 0.9*float64(packed) {
		dst = append(dst, e.tok[:n]...)
		return appendExtra(dst, u, e.tok[:n]), streamRaw
	}
	for i := 0; len(u) > 0; i++ {
		block := u[:min(len(u), blockSize)]
		dst = appendBlock(dst, block, e.blocks[i])
		u = u[len(block):]
	}
	return dst, streamPacked
}

// look fills e.tok with the tokens of u and counts them, and e.blocks with how
// its blocks are packed. It returns how many bytes the extra bits of the tokens
// take, and how many a packed stream.
func (e *Encoder) look(u []uint64, counts *[256]uint16) (packed, extra int) {
	tok := e.tok[:len(u)]
	for i := 0; len(u) > 0; i++ {
		n := min(len(u), blockSize)
		var h lengths
		for k, v := range u[:n] {
			length := bits.Len64(v)
			h[length]++
			t := tokenOf(v, length)
			tok[k] = t
			counts[t]++
		}
		for length, count := range h[5:] {
			extra += int(count) * (length + 2)
		}
		e.blocks[i] = h.packing(n)
		packed += e.blocks[i].size(n)
		u, tok = u[n:], tok[n:]
	}
	return packed, (extra + 7) / 8
}

// entropySize returns about how many bytes n tokens take Huffman coded, with
// their table, and how many kinds of token there are.
func entropySize(counts *[256]uint16, n int) (size, kinds int) {
	total, all := 0.0, log2(n)
	for _, count := range counts {
		if count > 0 {
			kinds++
			total += float64(float64(count) * (all - log2(int(count))))
		}
	}
	return int(max(total, float64(n))/8) + kinds/3 + 6, kinds
}

// huffFourMin is the number of tokens from which they are compressed as four
// interleaved sequences, which costs 9 bytes and halves the time to decode.
const huffFourMin = 800

// appendCompressed appends e.tok, the tokens of u, compressed, and the extra
// bits, and returns false if the tokens take more than most bytes.
func (e *Encoder) appendCompressed(dst []byte, u []uint64, most int) (out []byte, form byte, ok bool) {
	tok := e.tok[:len(u)]
	src, form := e.huffman(tok)
	if e.zstdSize > 0 {
		frame := e.zstdFrame(tok)
		if (src == nil || float64(len(frame)) < e.zstdSize*float64(len(src))) && len(frame) <= zstdBytesMax {
			src, form = frame, streamZstd
		}
	}
	if src == nil || len(src)+uvarintLen(uint64(len(src))) > most {
		return dst, 0, false
	}
	dst = binary.AppendUvarint(dst, uint64(len(src)))
	dst = append(dst, src...)
	return appendExtra(dst, u, tok), form, true
}

// huffman returns tok Huffman coded, and how, or nil if that saves nothing.
func (e *Encoder) huffman(tok []byte) (src []byte, form byte) {
	e.huff.Reuse = huff0.ReusePolicyNone
	compress, form := huff0.Compress1X, byte(streamHuff1)
	if len(tok) >= huffFourMin {
		compress, form = huff0.Compress4X, streamHuff4
	}
	src, _, err := compress(tok, &e.huff)
	if err != nil {
		return nil, form
	}
	return src, form
}

// zstdFrame compresses tok into a frame without its magic number.
func (e *Encoder) zstdFrame(tok []byte) []byte {
	if e.zstd == nil {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true),
			zstd.WithWindowSize(zstd.MinWindowSize), zstd.WithEncoderLevel(zstd.SpeedDefault))
		if err != nil {
			panic("column: zstd encoder: " + err.Error()) // only options can be wrong
		}
		e.zstd = z
	}
	e.frame = e.zstd.EncodeAll(tok, e.frame[:0])
	return e.frame[len(zstdMagic):]
}

// packedSize returns the size of u as a packed stream.
func packedSize(u []uint64) int {
	size := 0
	for len(u) > 0 {
		n := min(len(u), blockSize)
		var h lengths
		h.addAll(u[:n])
		size += h.packing(n).size(n)
		u = u[n:]
	}
	return size
}

// packing is how a block is packed.
type packing struct{ width, patches, patchBytes int }

func (h *lengths) packing(n int) packing {
	width, patches, bits := h.width(n)
	p := packing{width, patches, 0}
	if patches > 0 {
		p.patchBytes = (bits - n*width) / 8
	}
	return p
}

// size returns the size of the block, of n values.
func (p packing) size(n int) int { return 1 + (n*p.width+7)/8 + p.patchBytes }

// appendPacked appends u as a packed stream.
func appendPacked(dst []byte, u []uint64) []byte {
	for len(u) > 0 {
		n := min(len(u), blockSize)
		var h lengths
		h.addAll(u[:n])
		dst = appendBlock(dst, u[:n], h.packing(n))
		u = u[n:]
	}
	return dst
}

func appendBlock(dst []byte, u []uint64, p packing) []byte {
	width, patches := p.width, p.patches
	if patches > 0 {
		dst = append(dst, byte(width)|widthPatch, byte(patches))
	} else {
		dst = append(dst, byte(width))
	}
	mask := uint64(1)<<width - 1 // all ones for 64
	switch {
	case width == 0: // patches alone
	case len(u) == blockSize:
		dst = appendLanes(dst, u, width, mask)
	default:
		w := bitWriter{dst: dst}
		for _, v := range u {
			w.add(v&mask, width)
		}
		dst = w.finish()
	}
	if patches == 0 {
		return dst
	}
	for i, v := range u {
		if bits.Len64(v) > width {
			dst = append(dst, byte(i))
		}
	}
	for _, v := range u {
		if bits.Len64(v) > width {
			dst = binary.AppendUvarint(dst, v>>width)
		}
	}
	return dst
}

// appendLanes appends a full block: 4 lanes with interleaved words.
func appendLanes(dst []byte, u []uint64, width int, mask uint64) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, 32*width)...)
	for lane := range 4 {
		out := dst[at+8*lane:]
		var word uint64
		used := 0
		for _, v := range u[laneSize*lane : laneSize*(lane+1)] {
			v &= mask
			word |= v << used
			if used += width; used >= 64 {
				binary.LittleEndian.PutUint64(out, word)
				out = out[min(32, len(out)):]
				used -= 64
				word = v >> (width - used) // 0 if used is 0
			}
		}
	}
	return dst
}
