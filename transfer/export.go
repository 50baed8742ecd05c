package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Exported says what an export wrote.
type Exported struct {
	Lines   int
	Bytes   int64 // before they are compressed
	Skipped int   // native histogram samples, for which the format has no place
	Took    time.Duration
}

// Export writes what a server exports to a file, compressed if its name ends in
// .gz or .zst. The file appears under its name once it is whole; - is stdout.
func Export(ctx context.Context, from *Target, f Filter, path string, stdout io.Writer) (Exported, error) {
	began := time.Now()
	mint, maxt := f.bounds()
	reply, err := export(ctx, from.HTTP, strings.TrimSuffix(from.URL, "/"), from.Header, exportForm(f.Selectors, mint, maxt))
	if err != nil {
		return Exported{}, fmt.Errorf("export from %s: %w", from.URL, err)
	}
	defer reply.Body.Close()
	to, err := create(path, stdout)
	if err != nil {
		return Exported{}, err
	}
	e := Exported{}
	_, err = io.Copy(io.MultiWriter(to, &e), reply.Body)
	if err = to.finish(err); err != nil {
		return e, fmt.Errorf("export from %s: %w", from.URL, err)
	}
	e.Skipped = skippedHistograms(reply).N
	e.Took = time.Since(began)
	return e, nil
}

// Write counts what is written.
func (e *Exported) Write(p []byte) (int, error) {
	e.Bytes += int64(len(p))
	e.Lines += bytes.Count(p, []byte{'\n'})
	return len(p), nil
}

// export asks for an export.
func export(ctx context.Context, client *http.Client, base string, header http.Header, form url.Values) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/export", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		q.Header[name] = values
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	reply, err := client.Do(q)
	if err != nil {
		return nil, err
	}
	if reply.StatusCode != http.StatusOK {
		defer reply.Body.Close()
		return nil, statusError(reply)
	}
	return reply, nil
}

// skippedHistograms reads how many native histograms an export, whose body was
// read, has left out.
func skippedHistograms(reply *http.Response) Loss {
	const header = "X-Varve-Histograms-Skipped"
	text := reply.Trailer.Get(header)
	if text == "" {
		text = reply.Header.Get(header)
	}
	n, _ := strconv.Atoi(text) // absent: none
	return Loss{Reason: "native_histogram", N: n, Example: "JSON lines have no place for native histograms; import by remote-read instead"}
}

func setTime(form url.Values, name string, milliseconds int64) {
	if milliseconds != math.MinInt64 && milliseconds != math.MaxInt64 {
		form.Set(name, strconv.FormatFloat(float64(milliseconds)/1000, 'f', 3, 64))
	}
}

// output is a file being written, perhaps through a compressor.
type output struct {
	io.Writer
	compressor io.Closer // nil without
	file       *os.File  // nil for stdout
	path       string
}

func create(path string, stdout io.Writer) (*output, error) {
	o := &output{Writer: stdout, path: path}
	if path != "-" {
		file, err := os.Create(path + ".part")
		if err != nil {
			return nil, err
		}
		o.Writer, o.file = file, file
	}
	switch {
	case strings.HasSuffix(path, ".gz"):
		z := gzip.NewWriter(o.Writer)
		o.Writer, o.compressor = z, z
	case strings.HasSuffix(path, ".zst"):
		z, err := zstd.NewWriter(o.Writer)
		if err != nil {
			return nil, o.finish(err)
		}
		o.Writer, o.compressor = z, z
	}
	return o, nil
}

// finish gives the file its name, or removes it after an error, which it returns.
func (o *output) finish(err error) error {
	if o.compressor != nil {
		err = errors.Join(err, o.compressor.Close())
	}
	if o.file == nil {
		return err
	}
	if err == nil {
		err = o.file.Sync()
	}
	err = errors.Join(err, o.file.Close())
	if err != nil {
		return errors.Join(err, os.Remove(o.file.Name()))
	}
	return os.Rename(o.file.Name(), o.path)
}
