package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"path"
	"slices"

	"github.com/valyala/fasthttp"
)

//go:embed dist
var dist embed.FS

const (
	index = "index.html"
	// sourceFile is where dist says of which source it was built.
	sourceFile = "source.sha256"
)

// policy lets the pages load what comes with them and talk to their own server.
// Styles inline are the editor's and the charts'.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// Files are the files of the application, ready to be sent.
type Files struct{ byPath map[string]file }

type file struct {
	plain, packed []byte
	kind, tag     string
}

// Load prepares the files.
func Load() (*Files, error) {
	f := &Files{byPath: map[string]file{}}
	err := fs.WalkDir(dist, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Base(name) == sourceFile {
			return err
		}
		text, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		packed, err := pack(text)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		at := "/" + path.Base(name)
		if path.Base(name) == index {
			at = "/"
		}
		f.byPath[at] = file{text, packed, mime.TypeByExtension(path.Ext(name)), `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load the web application: %w", err)
	}
	return f, nil
}

func pack(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// Paths lists the paths that Handle serves.
func (f *Files) Paths() []string {
	paths := make([]string, 0, len(f.byPath))
	for p := range f.byPath {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// Handle sends the file at a path, or says that the browser has it.
func (f *Files) Handle(ctx *fasthttp.RequestCtx) {
	found, ok := f.byPath[string(ctx.Path())]
	if !ok {
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		return
	}
	h := &ctx.Response.Header
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-cache") // ask each time; most answers are 304
	h.Set("ETag", found.tag)
	h.Set("Vary", "Accept-Encoding")
	if string(ctx.Request.Header.Peek("If-None-Match")) == found.tag {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	ctx.SetContentType(found.kind)
	if ctx.Request.Header.HasAcceptEncoding("gzip") {
		h.Set("Content-Encoding", "gzip")
		ctx.SetBody(found.packed)
		return
	}
	ctx.SetBody(found.plain)
}
