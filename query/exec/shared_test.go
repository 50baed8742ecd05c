package exec

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"
)

// sharedInput is an operator in memory that counts its runs.
type sharedInput struct {
	query *Query
	rows  int
	steps int
	note  error // added by each run
	fail  error
	runs  *int
}

func (s *sharedInput) Grid() Grid { return Grid{Start: 0, End: int64(s.steps - 1), Step: 1} }

func (s *sharedInput) Series(context.Context) ([]Series, error) {
	series := make([]Series, s.rows)
	for i := range series {
		series[i].Labels = labels.FromStrings("i", fmt.Sprintf("%05d", i))
	}
	return series, nil
}

func (s *sharedInput) Run(ctx context.Context, each Each, sink Sink) error {
	*s.runs++
	if s.note != nil {
		s.query.noteError(s.note)
	}
	if s.fail != nil {
		return s.fail
	}
	return s.query.runRows(ctx, rowsOf{s.rows, s.steps, func(w *Worker, i int, row *Row) error {
		if i%5 == 4 {
			return nil // no points
		}
		*row = w.Row(s.steps)
		for k := range s.steps {
			switch {
			case i%7 == 3 && k%2 == 0:
				row.Set(k, 0, &histogram.FloatHistogram{Count: float64(i), Sum: float64(k)})
			case k%3 != 2:
				row.Set(k, float64(i*s.steps+k), nil)
			}
		}
		return nil
	}}, each, sink)
}

// sharedPlaces returns n places of one input.
func sharedPlaces(q *Query, n int, input sharedInput) (places []Operator) {
	b := builder{query: q, groups: map[int]*sharedRows{}}
	input.query = q
	for range n {
		own := input
		places = append(places, b.shared(1, &own))
	}
	return places
}

// sharedRead runs a place, changes the rows in place and returns what it got.
func sharedRead(t *testing.T, op Operator) (got []string) {
	t.Helper()
	series, err := op.Series(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = op.Run(t.Context(), func(_ *Worker, _ int, row *Row) error {
		for k := range row.Floats {
			if !IsAbsent(row.Floats[k]) {
				row.Floats[k] = -row.Floats[k]
			} else if h := row.Histogram(k); h != nil {
				row.Histograms[k] = h.Copy().Mul(-1)
			}
		}
		return nil
	}, func(i int, row *Row) error {
		line := series[i].Labels.String()
		for k, v := range row.Floats {
			if h := row.Histogram(k); h != nil {
				line += fmt.Sprintf(" %d:{%v %v}", k, h.Count, h.Sum)
			} else if !IsAbsent(v) {
				line += fmt.Sprintf(" %d:%v", k, v)
			}
		}
		got = append(got, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range series { // they are the place's own
		series[i].Labels = labels.EmptyLabels()
	}
	return got
}

// TestSharedRows evaluates one input for three places, on one worker and several.
func TestSharedRows(t *testing.T) {
	for _, extra := range []*Slots{nil, NewSlots(3)} {
		runs := 0
		input := sharedInput{rows: 1000, steps: 70, runs: &runs}
		q := &Query{Extra: extra}
		alone := input
		alone.query, alone.runs = q, new(int)
		want := sharedRead(t, &alone)
		for i, place := range sharedPlaces(q, 3, input) {
			if got := sharedRead(t, place); !slices.Equal(got, want) {
				t.Fatalf("place %d has other rows", i)
			}
			if held := q.held.Load(); (held == 0) != (i == 2) {
				t.Errorf("%d points are held after place %d", held, i)
			}
		}
		if runs != 1 {
			t.Errorf("%d runs for three places", runs)
		}
	}
}

// TestSharedRowsAnew looks at inputs that each place has to evaluate itself.
func TestSharedRowsAnew(t *testing.T) {
	const most = 4 * 1000
	for _, c := range []struct {
		name  string
		input sharedInput
		runs  int
	}{
		{"annotates", sharedInput{rows: 10, steps: 5, note: annotations.NewInvalidQuantileWarning(math.NaN(), posrange.PositionRange{Start: 1, End: 2})}, 3},
		{"too large", sharedInput{rows: 200, steps: 10}, 3},
		{"small enough", sharedInput{rows: 100, steps: 5}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := 0
			c.input.runs = &runs
			q := &Query{SamplesMax: most}
			var first []string
			for i, place := range sharedPlaces(q, 3, c.input) {
				got := sharedRead(t, place)
				if first == nil {
					first = got
				}
				if !slices.Equal(got, first) {
					t.Errorf("place %d has other rows", i)
				}
			}
			if runs != c.runs {
				t.Errorf("%d runs, want %d", runs, c.runs)
			}
			if held := q.held.Load(); held != 0 {
				t.Errorf("%d points are still held", held)
			}
			if notes := q.Notes(); (len(notes) > 0) != (c.input.note != nil) {
				t.Errorf("annotations %v", notes)
			}
		})
	}
}

// TestSharedRowsNested runs one place while another runs, and in another order
// than that in which they told their series.
func TestSharedRowsNested(t *testing.T) {
	runs := 0
	q := &Query{}
	places := sharedPlaces(q, 3, sharedInput{rows: 20, steps: 4, runs: &runs})
	for _, place := range places[:2] {
		if _, err := place.Series(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rows := [2]int{}
	err := places[1].Run(t.Context(), nil, func(i int, _ *Row) error {
		if rows[1]++; i > 0 {
			return nil
		}
		return places[0].Run(t.Context(), nil, func(int, *Row) error { rows[0]++; return nil })
	})
	if err != nil || rows != [2]int{16, 16} {
		t.Fatalf("%v rows, error %v", rows, err)
	}
	if got := len(sharedRead(t, places[2])); got != 16 || runs != 2 {
		t.Errorf("%d rows, %d runs", got, runs)
	}
}

// TestSharedRowsFail passes errors on.
func TestSharedRowsFail(t *testing.T) {
	runs, broken := 0, errors.New("broken")
	for i, place := range sharedPlaces(&Query{}, 2, sharedInput{rows: 2, steps: 2, fail: broken, runs: &runs}) {
		if _, err := place.Series(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := place.Run(t.Context(), nil, func(int, *Row) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("place %d: %v", i, err)
		}
	}
}
