package main

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/varve-db/varve/server"
)

func TestCheckCommand(t *testing.T) {
	for _, c := range []struct {
		args  []string
		usage bool
		want  string
	}{
		{[]string{"--storage.path=" + filepath.Join(t.TempDir(), "none")}, false, "open data folder"},
		{[]string{"x"}, true, `unexpected argument "x"`},
		{[]string{"--nonsense"}, true, "unknown flag"},
	} {
		err := runCheck(t.Context(), server.Inspection{Out: new(bytes.Buffer), Progress: io.Discard}, c.args)
		if err == nil || errors.Is(err, errUsage) != c.usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
}
