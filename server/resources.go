package server

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"path"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Resources are what the node may use of its machine.
type Resources struct {
	Cores  int
	Memory uint64 // bytes; 0: nothing is known
	Source string // where Memory was found
}

// fallbackMemory is assumed where nothing tells how much there is.
const fallbackMemory = 1 << 30

// FindResources reads the memory of the machine and the limits of the control
// group (versions 1 and 2) from root, the file system's root. Cores are those
// that the runtime found: it knows the group's limit by itself.
func FindResources(root fs.FS) Resources {
	r := Resources{Cores: runtime.GOMAXPROCS(0)}
	if m, ok := machineMemory(root); ok {
		r.Memory, r.Source = m, "machine"
	}
	if m, ok := groupMemory(root); ok && (r.Memory == 0 || m < r.Memory) {
		r.Memory, r.Source = m, "control group"
	}
	if r.Memory == 0 {
		r.Memory, r.Source = fallbackMemory, "assumed"
	}
	return r
}

// limitMemory sets the garbage collector's soft limit to 85 % of the memory
// there is, unless the user did so by GOMEMLIMIT. It returns the limit in force.
func limitMemory(r Resources, userSet bool) int64 {
	if !userSet {
		debug.SetMemoryLimit(int64(min(r.Memory/100*85, math.MaxInt64)))
	}
	return debug.SetMemoryLimit(-1)
}

func machineMemory(root fs.FS) (uint64, bool) {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, false
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "MemTotal:" && fields[2] == "kB" {
			kib, err := strconv.ParseUint(fields[1], 10, 53)
			return kib << 10, err == nil && kib > 0
		}
	}
	return 0, false
}

// groupMemory returns the smallest limit of the process's control group and of
// the groups above it.
func groupMemory(root fs.FS) (uint64, bool) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	lowest := uint64(math.MaxUint64)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		// hierarchy:controllers:path; hierarchy 0 without controllers is version 2.
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0" && parts[1] == "":
			lowest = min(lowest, lowestLimit(root, "sys/fs/cgroup", parts[2], "memory.max"))
		case strings.Contains(","+parts[1]+",", ",memory,"):
			lowest = min(lowest, lowestLimit(root, "sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes"))
		}
	}
	// Version 1 says "no limit" by a number near 2^63.
	return lowest, lowest < 1<<60
}

// lowestLimit walks from the group up to the mount. Inside a container the
// group's path is that of the host while the mount shows only what is below
// it, so folders that are not there are passed over.
func lowestLimit(root fs.FS, mount, group, file string) uint64 {
	lowest := uint64(math.MaxUint64)
	for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
		if text, err := fs.ReadFile(root, path.Join(mount, dir, file)); err == nil {
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
				lowest = min(lowest, n)
			}
		}
		if dir == "/" {
			return lowest
		}
	}
}
