package fault

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// CrashableFS is Pebble's crashable file system in memory, from which a clone can
// be taken while it is written to: MemFS.Link takes the lock that CrashClone waits
// for twice, and the two wait for each other for ever when they meet.
type CrashableFS struct {
	*vfs.MemFS
	links sync.RWMutex
}

// NewCrashableFS returns an empty file system.
func NewCrashableFS() *CrashableFS { return &CrashableFS{MemFS: vfs.NewCrashableMem()} }

// Link makes another name for a file.
func (f *CrashableFS) Link(oldname, newname string) error {
	f.links.RLock()
	defer f.links.RUnlock()
	return f.MemFS.Link(oldname, newname)
}

// CrashClone returns what a crash at this moment would leave.
func (f *CrashableFS) CrashClone(c vfs.CrashCloneCfg) *vfs.MemFS {
	f.links.Lock()
	defer f.links.Unlock()
	return f.MemFS.CrashClone(c)
}
