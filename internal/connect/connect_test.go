package connect

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestClient(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		w.Write([]byte(r.Header.Get("Authorization") + "|" + r.Header.Get("X-Scope-OrgID")))
	}))
	defer server.Close()
	ca := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	cases := []struct {
		options Options
		path    string
		want    string
	}{
		{Options{}, "/", "|"},
		{Options{TokenFile: write(t, "secret\n"), Tenant: "team-a"}, "/", "Bearer secret|team-a"},
		{Options{User: "alice", PasswordFile: write(t, "wonder")}, "/", "Basic YWxpY2U6d29uZGVy|"},
		{Options{TokenFile: write(t, "secret")}, "/away", "Found"},
	}
	for _, c := range cases {
		c.options.CAFile = ca
		client, err := c.options.Client(1)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Get(server.URL + c.path)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 200)
		n, _ := response.Body.Read(body)
		response.Body.Close()
		if got := string(body[:n]); !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %q, want %q", c.options, got, c.want)
		}
	}
	plain, err := new(Options).Client(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Get(server.URL); err == nil {
		t.Error("a certificate that nobody vouches for was accepted")
	}
}

func TestMistakes(t *testing.T) {
	cases := []struct {
		options Options
		want    string
	}{
		{Options{User: "a"}, "go together"},
		{Options{PasswordFile: "a"}, "go together"},
		{Options{User: "a", PasswordFile: "b", TokenFile: "c"}, "give one of them"},
		{Options{TokenFile: "no/such"}, "read secret"},
		{Options{TokenFile: write(t, " \n")}, "must hold one line"},
		{Options{TokenFile: write(t, "a\nb")}, "must hold one line"},
		{Options{CAFile: "no/such"}, "read certificates"},
		{Options{CAFile: write(t, "x")}, "holds none"},
		{Options{CertFile: "no/such"}, "load client certificate"},
	}
	for _, c := range cases {
		if _, err := c.options.Client(1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.options, err, c.want)
		}
	}
}
