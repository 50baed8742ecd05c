//go:build unix

package head

import "golang.org/x/sys/unix"

// mapSlab maps n bytes of zeroed memory outside the Go heap.
func mapSlab(n int) []byte {
	slab, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, n) // no mappings left: the heap serves as well
	}
	preferHuge(slab)
	return slab
}

func unmapSlab(slab []byte) { _ = unix.Munmap(slab) } // fails only for heap memory, which the collector frees
