package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// call runs the program with arguments.
func call(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := program{args: args, env: env, stdout: &out, stderr: &errs, readFile: os.ReadFile}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a server that would start stops at once
	code = p.run(ctx)
	return code, out.String(), errs.String()
}

func TestExitCodesAndHelp(t *testing.T) {
	cases := []struct {
		args        []string
		env         []string
		code        int
		out, errors string
	}{
		{nil, nil, exitUsage, "varve serve", ""},
		{[]string{"help"}, nil, exitOK, "Examples:", ""},
		{[]string{"--help"}, nil, exitOK, "varve health", ""},
		{[]string{"-h"}, nil, exitOK, "varve version", ""},
		{[]string{"srve"}, nil, exitUsage, "", `unknown command "srve"`},
		{[]string{"version"}, nil, exitOK, "varve development (revision ", ""},
		{[]string{"serve", "--help"}, nil, exitOK, "--storage.path", ""},
		{[]string{"serve", "--storage.pth=x"}, nil, exitUsage, "", "did you mean storage.path?"},
		{[]string{"serve"}, []string{"VARVE_NONSENSE=1"}, exitUsage, "", "VARVE_NONSENSE is not a setting"},
		{[]string{"serve", "--config.file=/nonexistent.yml"}, nil, exitUsage, "", "read the configuration file"},
		{[]string{"health", "--help"}, nil, exitOK, "--url", ""},
		{[]string{"health", "--nonsense"}, nil, exitUsage, "", "unknown flag"},
		{[]string{"backup", "--help"}, nil, exitOK, "--keep-within", ""},
		{[]string{"backup", "--offline", "--storage.path=/nonexistent", "--to=" + os.TempDir()}, nil, exitFailed, "", "open data folder"},
		{[]string{"backup", "here"}, nil, exitUsage, "", "unexpected argument"},
		{[]string{"restore", "--from=/nonexistent"}, nil, exitFailed, "", "open repository"},
		{[]string{"restore", "--help"}, nil, exitOK, "--storage.path", ""},
		{[]string{"health", "x"}, nil, exitUsage, "", "unexpected argument"},
	}
	for _, c := range cases {
		code, out, errs := call(t, c.env, c.args...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errors) {
			t.Errorf("varve %q: exit %d, output %q, errors %q; want %d, %q, %q", c.args, code, out, errs, c.code, c.out, c.errors)
		}
	}
}

func TestHealth(t *testing.T) {
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/base/-/ready" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(code)
		w.Write([]byte("state of things\n"))
	}))
	ask := func() (int, string) {
		var out, errs bytes.Buffer
		p := program{args: []string{"health", "--url=" + server.URL + "/base/"}, stdout: &out, stderr: &errs}
		got := p.run(t.Context())
		return got, out.String() + errs.String()
	}
	if got, text := ask(); got != exitOK || text != "state of things\n" {
		t.Errorf("ready: exit %d, %q", got, text)
	}
	code = http.StatusServiceUnavailable
	if got, text := ask(); got != exitFailed || !strings.Contains(text, "503 Service Unavailable: state of things") {
		t.Errorf("not ready: exit %d, %q", got, text)
	}
	server.Close()
	if got, _ := ask(); got != exitFailed {
		t.Errorf("no server: exit %d", got)
	}
}
