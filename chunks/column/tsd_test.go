package column

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// captured is one series of a captured data set: every scrape with its time.
type captured struct {
	name   string
	group  int // scrape target
	times  []int64
	values []float64
}

// dataSet reads the captures called name from the folder that the variable
// VARVE_DATA names. Without it the committed sample of the same name is read;
// if there is none either, the test is skipped.
func dataSet(t testing.TB, name string) []captured {
	t.Helper()
	path := filepath.Join("testdata", name+"_sample.tsd.zst")
	if dir := os.Getenv("VARVE_DATA"); dir != "" {
		full := filepath.Join(dir, name+".tsd.zst")
		if _, err := os.Stat(full); err == nil {
			path = full
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Skip("no captured data: ", err)
	}
	defer f.Close()
	series, err := readTSD(f)
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return series
}

// readTSD reads the form TSD1: one zstd stream of "TSD1\n", the uvarint number
// of series, and for each its name (uvarint length), uvarint group, uvarint
// number of samples, timestamps and values as little-endian 64-bit words.
func readTSD(f io.Reader) ([]captured, error) {
	z, err := zstd.NewReader(f, zstd.WithDecoderMaxWindow(128<<20))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	r := bufio.NewReaderSize(z, 1<<20)
	if _, err := r.Discard(len("TSD1\n")); err != nil {
		return nil, err
	}
	count, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	out := make([]captured, count)
	for i := range out {
		if out[i], err = readCaptured(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readCaptured(r *bufio.Reader) (captured, error) {
	var s captured
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return s, err
	}
	name := make([]byte, size)
	if _, err := io.ReadFull(r, name); err != nil {
		return s, err
	}
	group, err := binary.ReadUvarint(r)
	if err != nil {
		return s, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return s, err
	}
	words := make([]byte, 16*n)
	if _, err := io.ReadFull(r, words); err != nil {
		return s, err
	}
	s = captured{name: string(name), group: int(group), times: make([]int64, n), values: make([]float64, n)}
	for i := range n {
		s.times[i] = int64(binary.LittleEndian.Uint64(words[8*i:]))
		s.values[i] = math.Float64frombits(binary.LittleEndian.Uint64(words[8*(n+i):]))
	}
	return s, nil
}
