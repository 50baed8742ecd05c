package head

import "golang.org/x/sys/unix"

// preferHuge asks for large pages of the system's: chunks are walked all over the
// slabs, and with small ones each step takes a walk of the page tables besides. It
// is a wish that the system may not grant.
func preferHuge(slab []byte) { _ = unix.Madvise(slab, unix.MADV_HUGEPAGE) }
