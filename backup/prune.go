package backup

import (
	"context"
	"fmt"
	"time"
)

// Keep says which backups Prune leaves. A backup stays if any rule keeps it; the
// newest always does.
type Keep struct {
	Last   int           // so many of the newest
	Within time.Duration // and those taken within this time
}

// orphanAge is how old an object must be that no backup names before it goes: a
// backup that is being made has not named its objects yet.
const orphanAge = 24 * time.Hour

// Prune removes old backups, and the objects that none of the others names. It
// returns the names of the backups and how many bytes of objects went.
func Prune(ctx context.Context, in Repository, keep Keep, now time.Time) (gone []string, freed int64, err error) {
	names, err := Names(ctx, in)
	if err != nil {
		return nil, 0, err
	}
	used := map[string]bool{}
	for i, name := range names {
		m, err := Load(ctx, in, name)
		if err != nil { // its objects cannot be told from those that nobody needs
			return gone, 0, fmt.Errorf("prune: %w", err)
		}
		age := len(names) - i
		if age == 1 || age <= keep.Last || now.Sub(m.Taken) <= keep.Within {
			for _, f := range m.Files {
				used[f.object()] = true
			}
			continue
		}
		gone = append(gone, name)
	}
	for _, name := range gone {
		if err := in.Remove(ctx, backupsPrefix+name+nameSuffix); err != nil {
			return gone, 0, fmt.Errorf("prune: %w", err)
		}
	}
	objects, err := in.List(ctx, objectsPrefix)
	if err != nil {
		return gone, 0, fmt.Errorf("prune: %w", err)
	}
	for _, o := range objects {
		if used[o.Name] || now.Sub(o.Changed) < orphanAge {
			continue
		}
		if err := in.Remove(ctx, o.Name); err != nil {
			return gone, freed, fmt.Errorf("prune: %w", err)
		}
		freed += o.Size
	}
	return gone, freed, nil
}
