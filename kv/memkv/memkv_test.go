package memkv_test

import (
	"errors"
	"testing"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/kvtest"
	"github.com/varve-db/varve/kv/memkv"
)

func TestConformance(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.Store {
		s := memkv.New(memkv.Options{})
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return s
	})
}

func TestRefuse(t *testing.T) {
	full := false
	s := memkv.New(memkv.Options{Refuse: func() error {
		if full {
			return kv.ErrFull
		}
		return nil
	}})
	var b kv.Batch
	b.Set([]byte("a"), []byte("1"))
	full = true
	if err := s.Apply(&b, kv.Sync); !errors.Is(err, kv.ErrFull) {
		t.Fatalf("apply: got %v, want ErrFull", err)
	}
	if _, err := s.Get([]byte("a")); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("a refused batch was applied: %v", err)
	}
	full = false
	if err := s.Apply(&b, kv.Sync); err != nil {
		t.Fatalf("apply: %v", err)
	}
}
