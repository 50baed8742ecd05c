package tsdb

import (
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// labelArena makes label sets out of encoded ones. As long as no name or value
// has 128 bytes, the two forms have the same bytes, so a copy is all that it
// takes; the copies of many sets lie in one block.
type labelArena struct {
	block   []byte
	builder labels.ScratchBuilder
}

const (
	labelBlockMin = 512
	labelBlockMax = 32 << 10
)

// sameForm says that Prometheus's label sets are strings of length-prefixed
// strings in this build.
const sameForm = labels.ImplementationName == "stringlabels"

// decode returns a well-formed set; ls may change afterwards.
func (a *labelArena) decode(ls series.Labels) (labels.Labels, error) {
	if !sameForm || !shortStrings(ls) {
		return ls.Decode(&a.builder)
	}
	const align = 8
	n := (len(ls) + align - 1) &^ (align - 1)
	if len(a.block) < n {
		a.block = make([]byte, max(n, min(max(labelBlockMin, 2*cap(a.block)), labelBlockMax)))
	}
	copied := a.block[:len(ls):len(ls)]
	a.block = a.block[n:]
	copy(copied, ls)
	text := unsafe.String(unsafe.SliceData(copied), len(copied))
	return *(*labels.Labels)(unsafe.Pointer(&text)), nil
}

// shortStrings reports whether every name and value takes one byte for its length.
func shortStrings(ls series.Labels) bool {
	for at := 0; at < len(ls); {
		n := int(ls[at])
		if n >= 0x80 {
			return false
		}
		at += 1 + n
	}
	return true
}
