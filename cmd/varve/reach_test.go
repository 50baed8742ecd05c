package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandsBringCredentials asks a server that wants a token and has a
// certificate of its own.
func TestCommandsBringCredentials(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("X-Scope-OrgID") != "team-a" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write([]byte(`{"status":"success","data":{"resultType":"scalar","result":[0,"1"]}}`))
	}))
	defer server.Close()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"token": "secret\n", "ca": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reach := []string{"--tls.ca-file=" + filepath.Join(dir, "ca"), "--auth.token-file=" + filepath.Join(dir, "token"), "--tenant=team-a"}
	for _, command := range [][]string{
		{"health", "--url=" + server.URL},
		{"query", "--server=" + server.URL, "1"},
		{"bench", "query", "--server=" + server.URL, "--count=1", "--warmup=0", "1"},
		{"bench", "ingest", "--url=" + server.URL, "--series=10", "--samples=10", "--retries=0"},
	} {
		run := func(args ...string) (int, string) {
			var out strings.Builder
			p := program{args: append(append([]string{}, command...), args...), stdout: &out, stderr: &out, readFile: os.ReadFile}
			return p.run(t.Context()), out.String()
		}
		if code, text := run(reach...); code != exitOK {
			t.Errorf("%v: exit code %d: %s", command, code, text)
		}
		if code, _ := run(reach[0]); code != exitFailed {
			t.Errorf("%v without a token: exit code %d", command, code)
		}
		if code, text := run("--auth.token-file=no/such"); code != exitUsage {
			t.Errorf("%v with a file that is not there: exit code %d: %s", command, code, text)
		}
	}
}
