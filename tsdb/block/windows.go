package block

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/varve-db/varve/internal/fields"
)

// widths are those that windows may have, by resolution; that of Raw is none.
var widths = []time.Duration{0, 5 * time.Minute, time.Hour}

// ResolutionOf returns the resolution of windows of a width.
func ResolutionOf(width time.Duration) (resolution uint8, ok bool) {
	i := slices.Index(widths[1:], width)
	return uint8(i + 1), i >= 0
}

// WindowWidths lists the widths that windows may have, ascending.
func WindowWidths() []time.Duration { return slices.Clone(widths[1:]) }

// WindowWidth returns the width of the windows of a generation, 0 if it is of samples
// or of a resolution that is not known.
func (id ID) WindowWidth() time.Duration {
	if int(id.Resolution) >= len(widths) {
		return 0
	}
	return widths[id.Resolution]
}

// Derived describes a generation of windows: what it was made of.
type Derived struct {
	// Sources are the generations of samples whose windows it has, ascending.
	Sources []uint32
	// Partial: of the samples that they were made of some have been dropped, all if
	// there are no Sources, and this is what is left of them.
	Partial bool
	// Histograms: there were native histograms, of which there are no windows.
	Histograms bool
}

// A summary of windows goes on with
//
//	sources  uvarint number, then for each: uvarint less the one before
//	flags    u8 1 partial, 2 histograms
//	...      what Sealed.append writes
const (
	derivedPartial    = 1
	derivedHistograms = 2
)

func (d *Derived) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(d.Sources)))
	before := uint32(0)
	for _, s := range d.Sources {
		dst = binary.AppendUvarint(dst, uint64(s-before))
		before = s
	}
	flags := byte(0)
	if d.Partial {
		flags |= derivedPartial
	}
	if d.Histograms {
		flags |= derivedHistograms
	}
	return append(dst, flags)
}

func readDerived(f *fields.Reader) (*Derived, error) {
	d := &Derived{}
	at := uint64(0)
	for range f.Count(1) {
		at += f.Uvarint()
		d.Sources = append(d.Sources, uint32(at))
	}
	flags := f.Byte()
	if f.Bad() || at >= 1<<32 || flags&^(derivedPartial|derivedHistograms) != 0 {
		return nil, fmt.Errorf("%w: summary of windows", ErrCorrupt)
	}
	d.Partial, d.Histograms = flags&derivedPartial != 0, flags&derivedHistograms != 0
	return d, nil
}
