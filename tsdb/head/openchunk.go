package head

import (
	"fmt"
	"math"
	"slices"

	"github.com/varve-db/varve/chunks"
)

// always is a span with all times.
var always = Span{math.MinInt64, math.MaxInt64}

// place is a page of a chunk, and what is known on entering it.
type place struct {
	id     uint32
	number uint8 // see pageUnits
	pageIndex
}

// copy copies what a chunk has in a span behind dst, as one chunk. Of long chunks
// only the pages that matter are looked at, so that there may be some samples more
// than were asked for. The caller holds the stripe's lock.
func (c *openChunk) copy(p *pages, span Span, dst []byte) (chunks.Chunk, []byte, error) {
	at := c.find(p, span.Min)
	out := chunks.Chunk{Encoding: chunks.EncFloat, Count: int(c.count - at.before), MinTime: c.minTime, MaxTime: c.state.Time}
	start := len(dst)
	for cut := at.before > 0; ; cut = false {
		page := p.from(at.id)
		used, next := int(c.used), uint32(0)
		if at.id != c.tail {
			used, next = pageUsed(page), pageNext(page)
		}
		header := pageShapes[at.number].header
		data := page[header : header+used]
		if cut {
			var err error
			if dst, out.MinTime, err = chunks.AppendTail(dst, at.state, data); err != nil {
				return chunks.Chunk{}, dst[:start], fmt.Errorf("read open chunk: %w", err)
			}
		} else {
			dst = append(dst, data...)
		}
		if next == 0 {
			break
		}
		at.id, at.number = next, following(at.number)
		if isIndexed(at.number) {
			if x := pageIndexOf(p.from(next)); x.state.Time >= span.Max {
				out.Count -= int(c.count - x.before)
				out.MaxTime = x.state.Time
				break
			}
		}
	}
	end := len(dst)
	dst = slices.Grow(dst, chunks.FloatBytesMax) // which the decoder likes to load
	out.Data = dst[start : end : end+chunks.FloatBytesMax]
	return out, dst, nil
}

// find returns the last page before which there are no samples from mint on,
// searching backwards as far as pages say so.
func (c *openChunk) find(p *pages, mint int64) place {
	for at := (place{id: c.tail, number: c.number}); isIndexed(at.number) && at.id != 0; at.id = at.previous {
		if at.pageIndex = pageIndexOf(p.from(at.id)); at.state.Time < mint {
			return at
		}
	}
	return place{id: c.first}
}
