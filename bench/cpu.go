package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPUTime returns the processor time of process pid so far: to the nanosecond
// where the kernel counts that by thread, else in ticks of a hundredth of a
// second.
func CPUTime(pid int) (time.Duration, error) { return cpuTime("/proc", pid) }

func cpuTime(proc string, pid int) (time.Duration, error) {
	files, err := filepath.Glob(filepath.Join(proc, strconv.Itoa(pid), "task", "*", "schedstat"))
	if err != nil {
		return 0, fmt.Errorf("find threads of process %d: %w", pid, err)
	}
	var total time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has just ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read processor time of process %d: %w", pid, err)
		}
		total += time.Duration(n)
	}
	if total > 0 {
		return total, nil
	}
	u, err := readUsage(proc, pid)
	return time.Duration(u.cpuSeconds * float64(time.Second)), err
}

// quietPause is how long a process is watched for being quiet, of which it may
// be busy a tenth.
const quietPause = 2 * time.Millisecond

// CPUTimeOnceQuiet waits until the process does next to nothing, so that what a
// request left behind (garbage, mostly) is counted, and returns its processor
// time. It waits for limit at most.
func CPUTimeOnceQuiet(pid int, limit time.Duration) (time.Duration, error) {
	last, err := CPUTime(pid)
	for deadline := time.Now().Add(limit); err == nil && time.Now().Before(deadline); {
		time.Sleep(quietPause)
		var now time.Duration
		if now, err = CPUTime(pid); err == nil && now-last < quietPause/10 {
			return now, nil
		}
		last = now
	}
	return last, err
}

// PeakMemory returns the most memory that process pid had resident since it
// began, or since ForgetPeakMemory.
func PeakMemory(pid int) (bytes int64, err error) {
	u, err := readUsage("/proc", pid)
	return u.peakBytes, err
}

// ForgetPeakMemory has the kernel take the peak anew.
func ForgetPeakMemory(pid int) error {
	file := filepath.Join("/proc", strconv.Itoa(pid), "clear_refs")
	if err := os.WriteFile(file, []byte("5"), 0); err != nil {
		return fmt.Errorf("forget peak memory of process %d: %w", pid, err)
	}
	return nil
}
