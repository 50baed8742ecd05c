package transfer

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// exportServer answers with a body and says how many histograms it left out; cut
// ends the body before its end.
func exportServer(t *testing.T, body string, cut bool) *Target {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("start") != "1.500" || r.Form.Get("end") != "" || r.Form.Get("match[]") != `{job="x"}` {
			t.Errorf("got %v, %v", r.Form, err)
		}
		w.Header().Set("Trailer", "X-Varve-Histograms-Skipped")
		io.WriteString(w, body)
		w.(http.Flusher).Flush()
		if cut {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Varve-Histograms-Skipped", "3")
	}))
	t.Cleanup(server.Close)
	return &Target{URL: server.URL, HTTP: server.Client()}
}

func TestExport(t *testing.T) {
	body := strings.Repeat(`{"metric":{"__name__":"a"},"values":[1],"timestamps":[1]}`+"\n", 500)
	f := Filter{Start: time.UnixMilli(1500), Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "job", "x")}}}
	from := exportServer(t, body, false)
	for _, name := range []string{"a.jsonl", "a.jsonl.gz", "a.jsonl.zst"} {
		path := filepath.Join(t.TempDir(), name)
		e, err := Export(t.Context(), from, f, path, nil)
		if err != nil || e.Lines != 500 || e.Skipped != 3 || e.Bytes != int64(len(body)) {
			t.Fatalf("got %+v, %v", e, err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		in, closeIn, err := decompressed(path, file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(in); err != nil || string(got) != body {
			t.Errorf("%s holds %d bytes, %v", name, len(got), err)
		}
		closeIn()
		file.Close()
	}
	var stdout bytes.Buffer
	if _, err := Export(t.Context(), from, f, "-", &stdout); err != nil || stdout.String() != body {
		t.Errorf("stdout has %d bytes, %v", stdout.Len(), err)
	}
	path := filepath.Join(t.TempDir(), "cut.gz")
	if _, err := Export(t.Context(), exportServer(t, body, true), f, path, nil); err == nil {
		t.Error("a body that was cut short was taken for whole")
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}
