package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

var stamp = flag.Bool("stamp", false, "note in dist of which source it was built; make web does")

// TestDistIsBuiltFromSource fails when the source has changed and make web was
// not called.
func TestDistIsBuiltFromSource(t *testing.T) {
	sum, err := sourceSum(os.DirFS("ui"))
	if err != nil {
		t.Fatal(err)
	}
	if *stamp {
		if err := os.WriteFile("dist/"+sourceFile, []byte(sum+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	built, err := os.ReadFile("dist/" + sourceFile)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(built)) != sum {
		t.Error("web/dist was built from another source: call make web")
	}
}

func ask(t *testing.T, f *Files, path string, headers ...string) *fasthttp.RequestCtx {
	t.Helper()
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.SetRequestURI(path)
	for i := 0; i < len(headers); i += 2 {
		ctx.Request.Header.Set(headers[i], headers[i+1])
	}
	f.Handle(ctx)
	return ctx
}

func TestFilesAreServed(t *testing.T) {
	f, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, path := range f.Paths() {
		plain := ask(t, f, path)
		if plain.Response.StatusCode() != 200 || len(plain.Response.Body()) == 0 {
			t.Errorf("%s: %d", path, plain.Response.StatusCode())
		}
		if !strings.Contains(string(plain.Response.Header.Peek("Content-Security-Policy")), "default-src 'none'") {
			t.Errorf("%s has no content security policy", path)
		}
		packed := ask(t, f, path, "Accept-Encoding", "gzip")
		total += len(packed.Response.Body())
		r, err := gzip.NewReader(bytes.NewReader(packed.Response.Body()))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(text, plain.Response.Body()) {
			t.Errorf("%s differs when packed: %v", path, err)
		}
		again := ask(t, f, path, "If-None-Match", string(plain.Response.Header.Peek("ETag")))
		if again.Response.StatusCode() != 304 || len(again.Response.Body()) > 0 {
			t.Errorf("%s asked again: %d", path, again.Response.StatusCode())
		}
	}
	if total > 300_000 {
		t.Errorf("the application takes %d bytes compressed, 300,000 is the limit", total)
	}
	if missing := ask(t, f, "/nothing"); missing.Response.StatusCode() != 404 {
		t.Errorf("a file that is not there: %d", missing.Response.StatusCode())
	}
}

// TestNothingComesFromElsewhere looks for addresses of other hosts in the page,
// and for absolute ones, which a route prefix would break.
func TestNothingComesFromElsewhere(t *testing.T) {
	page, err := dist.ReadFile("dist/" + index)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(string(page), -1)
	if len(found) < 3 {
		t.Fatalf("the page names %d files", len(found))
	}
	for _, m := range found {
		if !strings.HasPrefix(m[1], "./") && !strings.HasPrefix(m[1], "data:") {
			t.Errorf("the page loads %s", m[1])
		}
	}
}

// sourceSum returns the checksum of all that the application is built of.
func sourceSum(ui fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(ui, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "node_modules" || entry.Name() == "test" {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasPrefix(entry.Name(), ".") {
			return nil
		}
		text, err := fs.ReadFile(ui, name)
		fmt.Fprintf(h, "%s %d\n", name, len(text))
		h.Write(text)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
