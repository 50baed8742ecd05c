package fault

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestClonesWhileLinking(t *testing.T) {
	files := NewCrashableFS()
	f, err := files.Create("a", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 2000 {
			if err := files.Link("a", fmt.Sprint(i)); err != nil {
				t.Errorf("link: %v", err)
			}
		}
	})
	all.Go(func() {
		for range 200 {
			files.CrashClone(vfs.CrashCloneCfg{})
		}
	})
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("linking and cloning wait for each other")
	}
}
