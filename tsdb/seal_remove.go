package tsdb

import (
	"context"
	"errors"
	"slices"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/tsdb/block"
)

// removeRows takes the rows of a generation out of the store that its summaries,
// which are deleted already, made readable. It leaves out the summaries: they may
// still be in memory, and excising what is in memory has the store write out all
// that is, far more than there is to remove, with the log among it. Their deletion
// removes them from disk in time. Whoever asks for a seal wants the space back,
// that of the log too: then all is excised.
func (db *DB) removeRows(ctx context.Context, g block.Generation) error {
	from, upper := g.ID.Span()
	if db.sealsWanted.Load() > 0 {
		return db.store.Excise(ctx, from, upper)
	}
	var batch kv.Batch
	g.DeleteSummaries(&batch)
	var failed error
	for _, op := range batch.Ops() {
		if op.Kind == kv.OpDeleteRange && slices.Compare(op.Key, from) >= 0 && slices.Compare(op.Value, upper) <= 0 {
			failed = errors.Join(failed, db.store.Excise(ctx, from, op.Key))
			from = op.Value
		}
	}
	return errors.Join(failed, db.store.Excise(ctx, from, upper))
}
