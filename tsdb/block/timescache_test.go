package block

import (
	"slices"
	"testing"
)

func steadyTimes(first, every int64, n int) []int64 {
	times := make([]int64, n)
	for k := range times {
		times[k] = first + int64(k)*every
	}
	return times
}

// entriesOf puts columns into the table, and returns a run of each.
func entriesOf(t *testing.T, table *timesTable, columns ...[]int64) (runs []*SealedEntry) {
	t.Helper()
	for number, all := range columns {
		c := newTimesColumn(all)
		if !table.put(uint32(number), c) {
			t.Fatal("no room for a column")
		}
		runs = append(runs, &SealedEntry{Times: c.Times, column: c, table: table})
	}
	return runs
}

func TestJoinKeepsTheRhythm(t *testing.T) {
	for _, c := range []struct {
		name    string
		columns [][]int64
		every   int64
	}{
		{"one", [][]int64{steadyTimes(5, 10, 4)}, 10},
		{"two that follow", [][]int64{steadyTimes(5, 10, 4), steadyTimes(45, 10, 3)}, 10},
		{"a gap between", [][]int64{steadyTimes(5, 10, 4), steadyTimes(55, 10, 3)}, 0},
		{"another rhythm", [][]int64{steadyTimes(5, 10, 4), steadyTimes(45, 20, 3)}, 0},
		{"no rhythm", [][]int64{{1, 2, 4}, {5, 6, 7}}, 0},
		{"single ones", [][]int64{{1}, {2}}, 0},
	} {
		table := NewTimesCache(1<<20).table(ID{}, 8)
		runs := entriesOf(t, table, c.columns...)
		whole := Join(runs)
		if want := slices.Concat(c.columns...); !slices.Equal(whole.All, want) || whole.Every != c.every || whole.First != want[0] {
			t.Errorf("%s: %+v, want %v every %d", c.name, whole, want, c.every)
		}
		if again := Join(runs); !sameSlice(again.All, whole.All) {
			t.Errorf("%s: another slice", c.name)
		}
		for k, at := range whole.All {
			if whole.At(k) != at || whole.UpTo(at) != k+1 || whole.UpTo(at-1) != k && at-1 != whole.All[max(k, 1)-1] {
				t.Errorf("%s: time %d is %d, %d up to it", c.name, k, whole.At(k), whole.UpTo(at))
			}
		}
		if part := runs[0].slice(len(runs[0].All)-1, len(runs[0].All)); part.First != part.All[0] {
			t.Errorf("%s: the last one begins at %d, not %d", c.name, part.First, part.All[0])
		}
	}
}

// TestJoinsOfOneColumn joins a column with many others: the newest joins are kept.
func TestJoinsOfOneColumn(t *testing.T) {
	cache := NewTimesCache(1 << 20)
	table := cache.table(ID{}, 64)
	var columns [][]int64
	for k := range 20 {
		columns = append(columns, steadyTimes(int64(k)*100, 10, 10))
	}
	runs := entriesOf(t, table, columns...)
	before := cache.Bytes()
	var wholes [][]int64
	for k := 1; k < len(runs); k++ {
		wholes = append(wholes, Join([]*SealedEntry{runs[0], runs[k]}).All)
	}
	if held := (cache.Bytes() - before) / 8; held != joinedMax*20 {
		t.Errorf("holds %d joined timestamps, want %d", held, joinedMax*20)
	}
	for k := 1; k < len(runs); k++ {
		kept := len(runs)-k <= joinedMax
		j := runs[0].column.joined.Load()
		for ; j != nil && !j.of([]*SealedEntry{runs[0], runs[k]}); j = j.older {
		}
		if (j != nil) != kept || kept && !sameSlice(j.whole.All, wholes[k-1]) {
			t.Errorf("join %d kept: %v", k, j != nil)
		}
	}
}

func TestTimesCacheIsBounded(t *testing.T) {
	const most = 1000
	cache := NewTimesCache(8 * most)
	table := cache.table(ID{Generation: 1}, 100)
	if cache.table(ID{Generation: 1}, 100) != table {
		t.Error("a second table")
	}
	for number := range uint32(100) {
		kept := table.put(number, newTimesColumn(steadyTimes(0, 1, 200)))
		if n := cache.Bytes() / 8; n > most {
			t.Fatalf("holds %d", n)
		}
		if want := number < 4; kept != want {
			t.Errorf("column %d is kept: %v", number, kept)
		}
		if !kept { // the cache has started anew
			break
		}
	}
	if table.column(0) == nil || cache.table(ID{Generation: 1}, 100) == table {
		t.Error("readers that have the old table go on with it, others get a new one")
	}
	if table.column(1000) != nil || table.put(1000, newTimesColumn(nil)) {
		t.Error("a column that does not exist")
	}
	for _, large := range []*timesTable{cache.table(ID{Generation: 2}, most), (*TimesCache)(nil).table(ID{}, 5)} {
		if large.put(0, newTimesColumn([]int64{1})) || large.column(0) != nil {
			t.Error("kept without room")
		}
	}
}
