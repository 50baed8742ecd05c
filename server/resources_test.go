package server

import (
	"io/fs"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestFindResources(t *testing.T) {
	const meminfo = "MemTotal:       16000000 kB\nMemFree:         1000 kB\n"
	cases := []struct {
		name   string
		files  map[string]string
		memory uint64
		source string
	}{
		{"nothing known", nil, fallbackMemory, "assumed"},
		{"machine", map[string]string{"proc/meminfo": meminfo}, 16000000 << 10, "machine"},
		{"version 2", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/app/a\n",
			"sys/fs/cgroup/app/a/memory.max": "max\n", "sys/fs/cgroup/app/memory.max": "1073741824\n"}, 1 << 30, "control group"},
		{"version 2, nearer and lower", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/app/a\n",
			"sys/fs/cgroup/app/a/memory.max": "536870912\n", "sys/fs/cgroup/app/memory.max": "1073741824\n"}, 512 << 20, "control group"},
		{"version 2 in a container that sees its group as the root", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "268435456\n"}, 256 << 20, "control group"},
		{"version 1", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "3:cpu,cpuacct:/x\n4:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648\n"}, 2 << 30, "control group"},
		{"version 1 without a limit", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 16000000 << 10, "machine"},
		{"group larger than the machine", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "99999999999999\n"}, 16000000 << 10, "machine"},
		{"nonsense", map[string]string{"proc/meminfo": "MemTotal: lots kB\n", "proc/self/cgroup": "what\n0::/\n",
			"sys/fs/cgroup/memory.max": "-5\n"}, fallbackMemory, "assumed"},
	}
	for _, c := range cases {
		root := fstest.MapFS{}
		for name, text := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		got := FindResources(fs.FS(root))
		if got.Memory != c.memory || got.Source != c.source || got.Cores < 1 {
			t.Errorf("%s: got %+v, want %d from %s", c.name, got, c.memory, c.source)
		}
	}
}

func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	if got := limitMemory(Resources{Memory: 1 << 30}, true); got != before {
		t.Errorf("changed what the user set: %d", got)
	}
	if got := limitMemory(Resources{Memory: 1 << 30}, false); got != (1<<30)/100*85 {
		t.Errorf("got %d, want 85 %% of a GiB", got)
	}
}
