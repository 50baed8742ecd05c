package server

import (
	"context"
	"log/slog"
	"time"

	kvapi "github.com/varve-db/varve/kv/api"
)

// sweep removes expired rows of the keyspaces, a few at a time: they are not
// returned any more, so nobody waits for it.
type sweep struct {
	spaces *kvapi.Handler
	now    func() time.Time
	log    *slog.Logger
}

const (
	sweepEvery = 10 * time.Second
	sweepRows  = 10_000
)

func (s *sweep) run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if _, err := s.spaces.Sweep(ctx, s.now(), sweepRows); err != nil && ctx.Err() == nil {
			s.log.Warn("sweep of expired keys failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
