package column

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// cellEntries makes entries of every sort: families, repeated columns,
// histogram buckets, several chunks a series, starts.
func cellEntries(r *rand.Rand, count int) []Entry {
	all := families()
	var out []Entry
	var series uint32
	var buckets []float64
	for i := range count {
		series += uint32([]int{0, 1, 1, 2, 300}[r.IntN(5)])
		n := []int{1, 17, 64, 300, 300, 300, 1024}[r.IntN(7)]
		entry := Entry{Series: series, Times: Slice{uint32(r.IntN(3)), uint32(r.IntN(2) * 1000), uint32(n)}}
		switch k := r.IntN(6); {
		case k == 0 && i > 0:
			entry.Values = out[r.IntN(i)].Values
			entry.Times.Length = uint32(len(entry.Values))
			entry.Bucket = r.IntN(2) == 0
		case k <= 3:
			entry.Bucket = true
			entry.Times = Slice{1, 0, 300}
			buckets = nextBucket(r, buckets)
			entry.Values = buckets
		default:
			entry.Values = all[r.IntN(len(all))].make(r, n)
		}
		if r.IntN(4) == 0 {
			addStarts(&entry, r.IntN(3))
		}
		out = append(out, entry)
	}
	return out
}

// nextBucket returns the bucket above below, which counts a little more.
func nextBucket(r *rand.Rand, below []float64) []float64 {
	out := make([]float64, 300)
	more := 0.0
	for i := range out {
		if r.IntN(10) == 0 {
			more += float64(r.IntN(3))
		}
		if out[i] = more + float64(i/3); below != nil {
			out[i] = more + below[i]
		}
	}
	if below == nil || r.IntN(8) == 0 {
		out[r.IntN(300)] = stale
	}
	return out
}

// addStarts gives the entry starts that are one moment, the timestamp before, or
// unknown.
func addStarts(entry *Entry, mode int) {
	n := len(entry.Values)
	entry.Timestamps, entry.Starts = make([]int64, n), make([]int64, n)
	for i := range n {
		entry.Timestamps[i] = 1_700_000_000_000 + 15000*int64(i) + int64(i*i%7)
		switch {
		case mode == 0:
			entry.Starts[i] = 1_600_000_000_000
		case mode == 1 && i > 0:
			entry.Starts[i] = entry.Timestamps[i-1]
		}
	}
}

func writeCell(t testing.TB, w *CellWriter, entries []Entry) []byte {
	t.Helper()
	w.Reset()
	for _, entry := range entries {
		if err := w.Add(entry); err != nil {
			t.Fatal(err)
		}
	}
	if w.Len() != len(entries) {
		t.Fatalf("%d entries, want %d", w.Len(), len(entries))
	}
	src := w.AppendTo(nil)
	if len(src) > w.Size() {
		t.Fatalf("%d bytes, size said %d", len(src), w.Size())
	}
	return src
}

func TestCellRoundTrip(t *testing.T) {
	for _, level := range levels {
		w := NewCellWriter(NewEncoder(level))
		var reader CellReader
		for seed := range 20 {
			r := newRand(seed, 15)
			entries := cellEntries(r, 1+seed*3)
			if err := reader.Open(writeCell(t, w, entries), Limits{}); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if err := reader.Verify(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for i := range entries {
				checkEntry(t, &reader, i, entries[i])
			}
			for range 40 { // in any order, so that nothing depends on what came before
				i := r.IntN(len(entries))
				checkEntry(t, &reader, i, entries[i])
			}
			checkFind(t, &reader, entries)
			if t.Failed() {
				t.Fatalf("%v, seed %d", level, seed)
			}
		}
	}
}

func checkEntry(t *testing.T, r *CellReader, i int, want Entry) {
	t.Helper()
	if r.Series(i) != want.Series || r.Times(i) != want.Times {
		t.Errorf("entry %d is of series %d at %v, want %d at %v", i, r.Series(i), r.Times(i), want.Series, want.Times)
		return
	}
	got := make([]float64, len(want.Values))
	if err := r.Values(got, i); err != nil || firstDifference(got, want.Values) >= 0 {
		t.Errorf("entry %d: other values came back: %v", i, err)
	}
	if err := checkFacts(r.Facts(), got); err != nil {
		t.Errorf("entry %d: %v", i, err)
	}
	info, err := r.Info(i)
	if err != nil {
		t.Errorf("entry %d: info: %v", i, err)
	}
	checkInfo(t, info, want.Values)
	if runs, ok, err := r.Runs(nil, i); err != nil {
		t.Errorf("entry %d: runs: %v", i, err)
	} else if ok {
		checkRuns(t, runs, want.Values)
	}
	starts := make([]int64, len(want.Values))
	times := want.Timestamps
	if times == nil {
		times = starts
	}
	if err := r.Starts(starts, times, i); err != nil {
		t.Errorf("entry %d: starts: %v", i, err)
	}
	if r.HasStarts(i) != anyStart(want.Starts) || r.HasStarts(i) && !slices.Equal(starts, want.Starts) || !r.HasStarts(i) && anyStart(starts) {
		t.Errorf("entry %d: other starts came back", i)
	}
}

func checkFind(t *testing.T, r *CellReader, entries []Entry) {
	t.Helper()
	last := entries[len(entries)-1].Series
	for series := range last + 2 {
		first, end := r.Find(series)
		for i, entry := range entries {
			if in := first <= i && i < end; in != (entry.Series == series) {
				t.Errorf("series %d is said to be at %d to %d, entry %d is of %d", series, first, end, i, entry.Series)
			}
		}
	}
}

// TestValuesFrom leaves out the values before any place: those from there on have
// the same bits, and what is known of them is the same.
func TestValuesFrom(t *testing.T) {
	w := NewCellWriter(NewEncoder(Fast))
	var reader CellReader
	for seed := range 20 {
		r := newRand(seed, 16)
		entries := cellEntries(r, 30)
		if err := reader.Open(writeCell(t, w, entries), Limits{}); err != nil {
			t.Fatal(err)
		}
		for i, entry := range entries {
			n := len(entry.Values)
			dst := make([]float64, n)
			if err := reader.Values(dst, i); err != nil {
				t.Fatal(err)
			}
			facts := reader.Facts()
			for _, from := range []int{0, 1, n / 2, r.IntN(n), n - 1, n} {
				clear(dst)
				if err := reader.ValuesFrom(dst, i, from); err != nil {
					t.Fatal(err)
				}
				if from = min(from, n); !sameBits(dst[from:], entry.Values[from:]) {
					t.Fatalf("seed %d: entry %d of %d values differs from %d on", seed, i, n, from)
				}
				if reader.Facts() != facts {
					t.Fatalf("seed %d: entry %d: %+v, want %+v", seed, i, reader.Facts(), facts)
				}
			}
		}
	}
}

func TestCellRefuses(t *testing.T) {
	w := NewCellWriter(NewEncoder(Fast))
	if err := w.Add(Entry{Series: 5, Times: Slice{Length: 1}, Values: []float64{1}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		entry Entry
		want  error
	}{
		{"lower series", Entry{Series: 4, Times: Slice{Length: 1}, Values: []float64{1}}, ErrOrder},
		{"no values", Entry{Series: 5}, ErrLength},
		{"other length", Entry{Series: 5, Times: Slice{Length: 2}, Values: []float64{1}}, ErrLength},
		{"too long", Entry{Series: 5, Times: Slice{Length: 1025}, Values: make([]float64, 1025)}, ErrLength},
		{"starts without timestamps", Entry{Series: 5, Times: Slice{Length: 1}, Values: []float64{1}, Starts: []int64{1}}, ErrLength},
	} {
		if err := w.Add(c.entry); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if w.Len() != 1 {
		t.Errorf("%d entries after refusals", w.Len())
	}
	var r CellReader
	if err := r.Open(w.AppendTo(nil), Limits{}); err != nil || r.Len() != 1 {
		t.Errorf("%d entries come back: %v", r.Len(), err)
	}
}

func TestCellEntriesAreLimited(t *testing.T) {
	w := NewCellWriter(NewEncoder(Fast))
	for i := range EntriesMax {
		if err := w.Add(Entry{Series: uint32(i), Times: Slice{Length: 1}, Values: []float64{1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Add(Entry{Series: EntriesMax, Times: Slice{Length: 1}, Values: []float64{1}}); !errors.Is(err, ErrFull) {
		t.Errorf("an entry too many: %v", err)
	}
	var r CellReader
	src := w.AppendTo(nil)
	if err := r.Open(src, Limits{}); err != nil {
		t.Error(err)
	}
	if err := r.Open(src, Limits{Entries: EntriesMax - 1}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("more entries than the caller allows: %v", err)
	}
	if r.Len() != 0 {
		t.Errorf("%d entries after an error", r.Len())
	}
}

// TestEqualColumnsAndBuckets holds the writer to what cells are for.
func TestEqualColumnsAndBuckets(t *testing.T) {
	r := newRand(16, 17)
	w := NewCellWriter(NewEncoder(Fast))
	bucket := nextBucket(r, nil)
	kinds := map[byte]int{}
	var entries []Entry
	for i := range 2 * chainMax {
		bucket = nextBucket(r, bucket)
		for range 2 {
			entries = append(entries, Entry{Series: uint32(i), Times: Slice{1, 2, 300}, Values: bucket, Bucket: true})
		}
	}
	var reader CellReader
	if err := reader.Open(writeCell(t, w, entries), Limits{}); err != nil {
		t.Fatal(err)
	}
	for i, entry := range entries {
		c := reader.cursorAt(i)
		kinds[c.src[c.off]&kindMask]++
		checkEntry(t, &reader, i, entry)
	}
	if kinds[kindRef] != 2*chainMax || kinds[kindDecimal] > 2 || kinds[kindBucketDiff] < 2*chainMax-2 {
		t.Errorf("kinds of the columns: %v", kinds)
	}
	checkEntry(t, &reader, chainMax*2-1, entries[chainMax*2-1])
}

// craft returns a cell of one slice with n samples and the given bodies.
func craft(n byte, bodies ...string) []byte {
	src := []byte{cellVersion, byte(len(bodies)), 1, 0, 0, n, 0}
	for _, b := range bodies {
		src = append(src, tagSame, byte(len(b)))
	}
	for _, b := range bodies {
		src = append(src, b...)
	}
	sum := checksum(src)
	return append(src, byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
}

// TestCellReferences holds the reader to references that lead astray.
func TestCellReferences(t *testing.T) {
	const (
		decimal  = "\x02\x00\x01\x00\x00" // e 0; delta, zero stream, first 0, base 0
		scaled   = "\x02\x02\x01\x00\x00"
		withUlps = "\x02\x80\x01\x00\x00\x01\x00\x00"
		constInt = "\x01\x02"
		ref1     = "\x09\x01"
		ref2     = "\x09\x02"
		diff1    = "\x05\x01\x00\x01\x00\x00"
	)
	long := []string{decimal}
	for range chainMax + 1 {
		long = append(long, diff1)
	}
	for _, c := range []struct {
		name   string
		bodies []string
		ok     bool // of the last entry
	}{
		{"ref", []string{decimal, ref1}, true},
		{"ref to itself", []string{decimal, "\x09\x00"}, false},
		{"ref to before the cell", []string{decimal, ref2}, false},
		{"ref to a ref", []string{decimal, ref1, ref1}, false},
		{"ref to a constant", []string{constInt, ref1}, true},
		{"ref with more bytes", []string{decimal, "\x09\x01\x00"}, false},
		{"difference", []string{decimal, diff1}, true},
		{"difference to a difference", []string{decimal, diff1, diff1}, true},
		{"difference to a ref", []string{decimal, ref1, diff1}, false},
		{"difference to a constant", []string{constInt, diff1}, false},
		{"difference to a scaled column", []string{scaled, diff1}, false},
		{"difference to a corrected column", []string{withUlps, diff1}, false},
		{"difference to itself", []string{decimal, "\x05\x00\x00\x01\x00\x00"}, false},
		{"difference with a bad flag", []string{decimal, "\x05\x01\x02\x01\x00\x00"}, false},
		{"difference with more bytes", []string{decimal, diff1 + "\x00"}, false},
		{"ref to a difference", []string{decimal, diff1, ref1}, true},
		{"longest chain", long[:chainMax+1], true},
		{"chain too long", long, false},
	} {
		var r CellReader
		if err := r.Open(craft(4, c.bodies...), Limits{}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		err := r.Values(make([]float64, 4), len(c.bodies)-1)
		if c.ok && err != nil || !c.ok && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := r.Info(len(c.bodies) - 1); err != nil && c.ok {
			t.Errorf("%s: info: %v", c.name, err)
		}
	}
}
