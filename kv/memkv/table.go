package memkv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/varve-db/varve/kv"
)

// table is a sorted run that is not yet part of the store.
type table struct {
	store    *Store
	items    []item
	size     uint64
	finished bool
	gone     bool // ingested or abandoned
}

// NewTable starts a table.
func (s *Store) NewTable() (kv.Table, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, fmt.Errorf("new table: %w", kv.ErrClosed)
	}
	return &table{store: s}, nil
}

func (t *table) Set(key, value []byte) error {
	if t.finished || t.gone {
		return errors.New("set in table: the table is finished")
	}
	if n := len(t.items); n > 0 && bytes.Compare(t.items[n-1].key, key) >= 0 {
		return fmt.Errorf("set in table: key %q is not above %q", key, t.items[n-1].key)
	}
	t.items = append(t.items, item{bytes.Clone(key), append([]byte{}, value...)})
	t.size += uint64(len(key) + len(value))
	return nil
}

func (t *table) Size() uint64 { return t.size }

func (t *table) Finish() error {
	if t.finished || t.gone {
		return errors.New("finish table: the table is finished")
	}
	t.finished = true
	return nil
}

func (t *table) Abandon() {
	t.items, t.gone = nil, true
}

// Ingest makes finished tables visible at once.
func (s *Store) Ingest(ctx context.Context, tables []kv.Table) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	runs := make([]*table, 0, len(tables))
	for _, one := range tables {
		t, ok := one.(*table)
		switch {
		case !ok || t.store != s:
			return errors.New("ingest: a table belongs to another store")
		case !t.finished || t.gone:
			return errors.New("ingest: a table is not finished, or was used already")
		case len(t.items) > 0:
			runs = append(runs, t)
		}
	}
	if err := checkDisjoint(runs); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	err := s.write("ingest", func(into *tree) {
		for _, t := range runs {
			for _, i := range t.items {
				into.Set(i)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, one := range tables {
		one.Abandon()
	}
	return nil
}

// checkDisjoint sorts runs and returns an error when two of them overlap.
func checkDisjoint(runs []*table) error {
	slices.SortFunc(runs, func(a, b *table) int { return bytes.Compare(a.items[0].key, b.items[0].key) })
	for i := 1; i < len(runs); i++ {
		before := runs[i-1].items
		if last, first := before[len(before)-1].key, runs[i].items[0].key; bytes.Compare(last, first) >= 0 {
			return fmt.Errorf("two tables overlap at %q", first)
		}
	}
	return nil
}
