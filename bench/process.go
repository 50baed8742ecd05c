package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// usage is what a process has used so far.
type usage struct {
	cpuSeconds   float64
	peakBytes    int64 // resident memory
	writtenBytes int64 // to disks
}

// clockTicks is how many ticks of /proc/PID/stat make a second; Linux has
// fixed it for user space.
const clockTicks = 100

// readUsage reads what process pid has used from proc, a /proc folder.
func readUsage(proc string, pid int) (usage, error) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return usage{}, fmt.Errorf("read usage of process %d: %w", pid, err)
	}
	// The command's name is in parentheses and may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("read usage of process %d: %d fields in stat", pid, len(fields))
	}
	user, userErr := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	if userErr != nil || systemErr != nil {
		return usage{}, fmt.Errorf("read usage of process %d: no processor times in stat", pid)
	}
	u := usage{cpuSeconds: float64(user+system) / clockTicks}
	u.peakBytes, err = readField(filepath.Join(dir, "status"), "VmHWM:")
	if err != nil {
		return usage{}, err
	}
	u.peakBytes <<= 10
	u.writtenBytes, err = readField(filepath.Join(dir, "io"), "write_bytes:")
	return u, err
}

// readField returns the number after name in a file of lines.
func readField(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read usage: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				return strconv.ParseInt(fields[0], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("read usage: %s has no %s", file, name)
}

// Cost is what the server spent on a part of the load.
type Cost struct {
	CPUSeconds   float64 `json:"cpu_seconds"`
	WrittenBytes int64   `json:"written_bytes"`
	PeakBytes    int64   `json:"peak_rss_bytes"` // since the process began
}

func (u usage) since(before usage) Cost {
	return Cost{u.cpuSeconds - before.cpuSeconds, u.writtenBytes - before.writtenBytes, u.peakBytes}
}
