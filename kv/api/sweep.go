package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
)

// Swept tells what one step of a sweep did.
type Swept struct {
	// Looked is how many rows it looked at, Removed how many of them had expired.
	Looked, Removed int
	// Round reports that the step reached the end of all keyspaces; the next one
	// begins anew.
	Round bool
}

// Sweep removes rows that have expired at now. A step looks at up to max rows
// and goes on where the last one ended, so that a job may spread the work. The
// removals need no fsync: an expired row that comes back after a crash is still
// expired.
func (h *Handler) Sweep(ctx context.Context, now time.Time, max int) (Swept, error) {
	h.sweepMu.Lock()
	defer h.sweepMu.Unlock()
	expired, did, err := h.findExpired(ctx, now, max)
	if err != nil {
		return did, fmt.Errorf("sweep keyspaces: %w", err)
	}
	for _, row := range expired {
		removed, err := h.removeExpired(row, now)
		if err != nil {
			return did, fmt.Errorf("sweep keyspaces: %w", err)
		}
		if removed {
			did.Removed++
			h.metrics.swept.Inc()
		}
	}
	return did, nil
}

// findExpired walks on from sweepAt.
func (h *Handler) findExpired(ctx context.Context, now time.Time, max int) (expired [][]byte, did Swept, err error) {
	family := []byte{keyspace.Generic}
	it, err := h.store.Scan(family, keyspace.PrefixEnd(family))
	if err != nil {
		return nil, did, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	ok := it.SeekGE(h.sweepAt)
	for ; ok && did.Looked < max; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, did, err
		}
		did.Looked++
		r, err := decodeRecord(it.Value())
		if it.Err() != nil {
			break
		}
		// A damaged row is kept: reading it tells of the damage.
		if err == nil && r.expired(now) {
			expired = append(expired, bytes.Clone(it.Key()))
		}
	}
	switch {
	case it.Err() != nil:
		// The next step begins anew: what lies before the damage is swept again.
		h.sweepAt = nil
		return nil, did, it.Err()
	case ok:
		h.sweepAt = bytes.Clone(it.Key())
	default:
		h.sweepAt, did.Round = nil, true
	}
	return expired, did, nil
}

// removeExpired removes row unless it was written again meanwhile.
func (h *Handler) removeExpired(row []byte, now time.Time) (bool, error) {
	defer h.locks.lock(row)()
	_, stale, err := h.present(row, now)
	if err != nil || stale == nil {
		return false, err
	}
	var b kv.Batch
	b.Delete(row)
	return true, h.store.Apply(&b, kv.NoSync)
}
