package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRetention(t *testing.T) {
	file := filepath.Join(t.TempDir(), "varve.yml")
	if err := os.WriteFile(file, []byte("retention.policies: [{keep: 0}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"retention"}, "say --dry-run", exitUsage},
		{[]string{"retention", "--dry-run", "--config.file=" + file}, "keep: 0 keeps nothing", exitUsage},
		{[]string{"retention", "--dry-run", "--storage.path=" + filepath.Join(t.TempDir(), "none")}, "open data folder", exitFailed},
	} {
		code, _, errs := call(t, nil, c.args...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit %d, %s", c.args, code, errs)
		}
	}
}
