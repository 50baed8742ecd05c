package main

import (
	"bytes"
	"fmt"
)

// writeUnpackers writes, for each width of 1 to 64 bits, one function that
// unpacks 64 values from neighbouring words (a row) and one that unpacks them
// from every fourth word (a lane of a full block), and the tables of both.
func writeUnpackers(b *bytes.Buffer) {
	fmt.Fprint(b, "import \"encoding/binary\"\n\n")
	for _, form := range []struct {
		name, comment string
		stride        int
	}{
		{"Row", "from neighbouring words", 1},
		{"Lane", "from every fourth word", 4},
	} {
		fmt.Fprintf(b, "// unpack%s holds, for each width, the function that unpacks 64 values\n// %s. src must reach to the last word's end.\n", form.name, form.comment)
		fmt.Fprintf(b, "var unpack%s = [65]func(dst *[64]uint64, src []byte){\n0: unpackZeros,\n", form.name)
		for w := 1; w <= 64; w++ {
			fmt.Fprintf(b, "%d: unpack%s%d,\n", w, form.name, w)
		}
		fmt.Fprint(b, "}\n\n")
		for w := 1; w <= 64; w++ {
			writeUnpacker(b, fmt.Sprintf("unpack%s%d", form.name, w), w, form.stride)
		}
	}
}

func writeUnpacker(b *bytes.Buffer, name string, w, stride int) {
	fmt.Fprintf(b, "func %s(dst *[64]uint64, src []byte) {\n", name)
	fmt.Fprintf(b, "b := (*[%d]byte)(src)\n", 8*stride*(w-1)+8)
	load := func(k int) string {
		o := 8 * stride * k
		return fmt.Sprintf("binary.LittleEndian.Uint64(b[%d:%d])", o, o+8)
	}
	mask := fmt.Sprintf("%#x", uint64(1)<<w-1)
	loaded := -1
	for i := range 64 {
		bit := i * w
		k, off := bit/64, bit%64
		if k > loaded {
			op := "="
			if loaded < 0 {
				op = ":="
			}
			fmt.Fprintf(b, "x %s %s\n", op, load(k))
			loaded = k
		}
		switch {
		case w == 64:
			fmt.Fprintf(b, "dst[%d] = x\n", i)
		case off+w < 64 && off == 0:
			fmt.Fprintf(b, "dst[%d] = x & %s\n", i, mask)
		case off+w < 64:
			fmt.Fprintf(b, "dst[%d] = x >> %d & %s\n", i, off, mask)
		case off+w == 64:
			fmt.Fprintf(b, "dst[%d] = x >> %d\n", i, off)
		default:
			loaded++
			if loaded == 1 && k == 0 {
				fmt.Fprintf(b, "y := x\n")
			} else {
				fmt.Fprintf(b, "y = x\n")
			}
			fmt.Fprintf(b, "x = %s\n", load(loaded))
			fmt.Fprintf(b, "dst[%d] = (y >> %d | x << %d) & %s\n", i, off, 64-off, mask)
		}
	}
	fmt.Fprint(b, "}\n\n")
}
