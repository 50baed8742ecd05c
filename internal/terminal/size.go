package terminal

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Size is what is known of the terminal behind a file.
type Size struct {
	Columns, Rows int
	Terminal      bool // whether it is one
}

// SizeOf returns the size of the terminal behind f. COLUMNS and LINES in the
// environment, which getenv reads, come first; without either it is 80 by 24.
func SizeOf(f *os.File, getenv func(string) string) Size {
	s := Size{Columns: 80, Rows: 24}
	if w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
		s.Terminal = true
		if w.Col > 0 && w.Row > 0 {
			s.Columns, s.Rows = int(w.Col), int(w.Row)
		}
	}
	if n, err := strconv.Atoi(getenv("COLUMNS")); err == nil && n > 0 {
		s.Columns = n
	}
	if n, err := strconv.Atoi(getenv("LINES")); err == nil && n > 0 {
		s.Rows = n
	}
	return s
}
