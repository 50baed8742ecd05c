//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// program is the binary that all tests run.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if program = os.Getenv("VARVE_BINARY"); program == "" {
		folder, err := os.MkdirTemp("", "varve-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "make a folder for the program:", err)
			return 1
		}
		defer os.RemoveAll(folder)
		program = filepath.Join(folder, "varve")
		build := exec.Command("go", "build", "-o", program, "../cmd/varve")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
			return 1
		}
	}
	code := m.Run()
	if left := running(); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "processes were left behind:", left)
		return 1
	}
	return code
}

// patience is how long a test waits for what a loaded machine may do slowly.
const patience = 90 * time.Second

// number reads a whole number from the environment.
func number(t testing.TB, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, it must be a whole number above 0", variable, text)
	}
	return n
}

// sendingTime is how long the senders send.
func sendingTime(t testing.TB) time.Duration {
	t.Helper()
	if d, soak := soakTime(t); soak && os.Getenv("E2E_SECONDS") == "" {
		return d
	}
	return time.Duration(number(t, "E2E_SECONDS", 60)) * time.Second
}

// killRounds is how often a server under writers is killed.
func killRounds(t testing.TB) int {
	t.Helper()
	rounds := 5
	if _, soak := soakTime(t); soak {
		rounds = 200
	}
	return number(t, "E2E_KILL_ROUNDS", rounds)
}

func soakTime(t testing.TB) (time.Duration, bool) {
	t.Helper()
	text := os.Getenv("VARVE_SOAK")
	if text == "" {
		return 0, false
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("VARVE_SOAK is %q, it must be a duration", text)
	}
	return d, true
}

// dice returns the random numbers of a test, whose seed it logs.
func dice(t testing.TB) *rand.Rand {
	t.Helper()
	seed := number(t, "E2E_SEED", 1+rand.IntN(1<<30))
	t.Logf("E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(uint64(seed), 0))
}

// wait polls until done reports true, or fails the test after patience.
func wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	if !eventually(patience, done) {
		t.Fatalf("waited %v in vain until %s", patience, what)
	}
}

// eventually polls until done reports true, or returns false after within.
func eventually(within time.Duration, done func() bool) bool {
	deadline := time.Now().Add(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}
