package api

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

func readAll(t testing.TB, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	return string(body)
}

// recorded is a request with what Prometheus 3.16's own handlers answered to it,
// over the data of testdata/data.test, with series in the order of their labels.
type recorded struct {
	method, path, form string
	code               int
	contentType        string
	body               string
}

func readRecorded(t testing.TB) []recorded {
	t.Helper()
	file, err := os.ReadFile("testdata/prometheus.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []recorded
	for block := range strings.SplitSeq(strings.TrimRight(string(file), "\n"), "\n\n") {
		lines := strings.Split(block, "\n")
		var r recorded
		r.method, r.path, _ = strings.Cut(lines[0], " ")
		r.path, r.form, _ = strings.Cut(r.path, " ")
		if _, err := fmt.Sscan(lines[1], &r.code); err != nil {
			t.Fatalf("%q: %v", lines[1], err)
		}
		_, r.contentType, _ = strings.Cut(lines[1], " ")
		for i := range lines[2:] {
			lines[2+i] = strings.TrimPrefix(lines[2+i], "\t")
		}
		r.body = strings.Join(lines[2:], "\n")
		list = append(list, r)
	}
	return list
}

// TestAnswersAreThoseOfPrometheus compares whole answers, byte for byte.
func TestAnswersAreThoseOfPrometheus(t *testing.T) {
	s := serve(t, depsOfTestStorage(t), Options{}, false)
	list := readRecorded(t)
	if len(list) < 400 {
		t.Fatalf("only %d recorded answers", len(list))
	}
	for _, want := range list {
		got := s.do(t, want.method, want.path, want.form)
		got.body = strings.TrimSuffix(got.body, "\n")
		if got.code != want.code || got.body != want.body {
			t.Errorf("%s %s %s\n got %d %s\nwant %d %s", want.method, want.path, want.form, got.code, clip(got.body), want.code, clip(want.body))
		}
		if got.header.Get("Content-Type") != want.contentType {
			t.Errorf("%s: content type %q, want %q", want.path, got.header.Get("Content-Type"), want.contentType)
		}
	}
}

func clip(s string) string {
	if len(s) > 1500 {
		return s[:1500] + "..."
	}
	return s
}
