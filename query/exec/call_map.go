package exec

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// mapper replaces the points of a row by what a function makes of them. args are
// the values of the scalar arguments.
type mapper func(row *Row, grid Grid, args [][]float64)

// mapping applies a function to every point of its child by itself; it drops the
// metric name.
type mapping struct {
	query *Query
	call  *parser.Call
	child Operator
	args  []Operator
	apply mapper
}

func (m *mapping) Grid() Grid { return m.child.Grid() }

func (m *mapping) Series(ctx context.Context) ([]Series, error) {
	series, err := m.child.Series(ctx)
	out := make([]Series, len(series))
	for i, s := range series {
		out[i] = m.query.withoutName(s)
	}
	return out, err
}

func (m *mapping) Run(ctx context.Context, each Each, sink Sink) error {
	args, notes, err := m.query.scalars(ctx, m.args)
	if err != nil {
		return err
	}
	grid := m.Grid()
	err = m.child.Run(ctx, chain(func(_ *Worker, _ int, row *Row) error {
		m.apply(row, grid, args)
		return nil
	}, each), sink)
	m.query.note(notes)
	return err
}

// mappings are the functions of single points.
var mappings = map[string]mapper{
	"abs":   mapAbs,
	"ceil":  ofFloats(math.Ceil),
	"floor": ofFloats(math.Floor),
	"exp":   ofFloats(math.Exp),
	"sqrt":  ofFloats(math.Sqrt),
	"ln":    ofFloats(math.Log),
	"log2":  ofFloats(math.Log2),
	"log10": ofFloats(math.Log10),
	"sgn":   ofFloats(sign),
	"sin":   ofFloats(math.Sin),
	"cos":   ofFloats(math.Cos),
	"tan":   ofFloats(math.Tan),
	"asin":  ofFloats(math.Asin),
	"acos":  ofFloats(math.Acos),
	"atan":  ofFloats(math.Atan),
	"sinh":  ofFloats(math.Sinh),
	"cosh":  ofFloats(math.Cosh),
	"tanh":  ofFloats(math.Tanh),
	"asinh": ofFloats(math.Asinh),
	"acosh": ofFloats(math.Acosh),
	"atanh": ofFloats(math.Atanh),
	"rad":   ofFloats(func(v float64) float64 { return v * (math.Pi / 180) }),
	"deg":   ofFloats(func(v float64) float64 { return v * (180 / math.Pi) }),

	"round":     mapRound,
	"clamp":     func(row *Row, _ Grid, args [][]float64) { mapClamp(row, args[0], args[1]) },
	"clamp_min": func(row *Row, _ Grid, args [][]float64) { mapClamp(row, args[0], nil) },
	"clamp_max": func(row *Row, _ Grid, args [][]float64) { mapClamp(row, nil, args[0]) },

	"timestamp":       mapTimestamp,
	"start_timestamp": mapNothing, // only samples of selectors have one

	"days_in_month": ofDates(daysInMonth),
	"day_of_month":  ofDates(dayOfMonth),
	"day_of_week":   ofDates(dayOfWeek),
	"day_of_year":   ofDates(dayOfYear),
	"hour":          ofDates(hour),
	"minute":        ofDates(minute),
	"month":         ofDates(month),
	"year":          ofDates(year),

	"histogram_count":  ofHistograms(func(h *histogram.FloatHistogram) float64 { return h.Count }),
	"histogram_sum":    ofHistograms(func(h *histogram.FloatHistogram) float64 { return h.Sum }),
	"histogram_avg":    ofHistograms(func(h *histogram.FloatHistogram) float64 { return h.Sum / h.Count }),
	"histogram_stddev": ofHistograms(reference1("histogram_stddev")),
	"histogram_stdvar": ofHistograms(reference1("histogram_stdvar")),
}

// ofFloats applies f to floats and drops histograms.
func ofFloats(f func(float64) float64) mapper {
	return func(row *Row, _ Grid, _ [][]float64) {
		row.Histograms = nil
		for i, v := range row.Floats {
			if !IsAbsent(v) {
				row.Floats[i] = f(v)
			}
		}
	}
}

// mapAbs keeps apart a NaN that would turn into the mark of absence.
func mapAbs(row *Row, _ Grid, _ [][]float64) {
	row.Histograms = nil
	for i, v := range row.Floats {
		if IsAbsent(v) {
			continue
		}
		if v = math.Abs(v); IsAbsent(v) {
			v = math.NaN()
		}
		row.Floats[i] = v
	}
}

func sign(v float64) float64 {
	switch {
	case v < 0:
		return -1
	case v > 0:
		return 1
	}
	return v
}

// mapRound rounds to a multiple of a number, halves up.
func mapRound(row *Row, _ Grid, args [][]float64) {
	row.Histograms = nil
	inverse := 1.0
	for i, v := range row.Floats {
		if IsAbsent(v) {
			continue
		}
		if len(args) > 0 {
			inverse = 1.0 / args[0][i]
		}
		row.Floats[i] = math.Floor(v*inverse+0.5) / inverse
	}
}

// mapClamp bounds floats; nil is no bound. Where the bounds cross there are no
// points.
func mapClamp(row *Row, lowest, highest []float64) {
	row.Histograms = nil
	low, high := math.Inf(-1), math.Inf(+1)
	for i, v := range row.Floats {
		if IsAbsent(v) {
			continue
		}
		if lowest != nil {
			low = lowest[i]
		}
		if highest != nil {
			high = highest[i]
		}
		if high < low {
			row.Floats[i] = Absent
			continue
		}
		row.Floats[i] = math.Max(low, math.Min(high, v))
	}
}

// mapTimestamp gives each point the time of its step.
func mapTimestamp(row *Row, grid Grid, _ [][]float64) {
	for i := range row.Floats {
		if row.Has(i) {
			row.Floats[i] = float64(grid.At(i)) / 1000
		}
	}
	row.Histograms = nil
}

func mapNothing(row *Row, _ Grid, _ [][]float64) {
	row.Histograms = nil
	fillAbsent(row.Floats)
}

// ofHistograms applies f to histograms and drops floats.
func ofHistograms(f func(*histogram.FloatHistogram) float64) mapper {
	return func(row *Row, _ Grid, _ [][]float64) {
		fillAbsent(row.Floats)
		for i, h := range row.Histograms {
			if h != nil {
				row.Floats[i] = f(h)
			}
		}
		row.Histograms = nil
	}
}

// reference1 returns Prometheus's function of a histogram.
func reference1(name string) func(*histogram.FloatHistogram) float64 {
	call := promql.FunctionCalls[name]
	return func(h *histogram.FloatHistogram) float64 {
		return ofOne(call, promql.Sample{Metric: labels.EmptyLabels(), H: h})
	}
}

// dateFunctions are the functions of a time in UTC.
var dateFunctions = map[string]func(time.Time) float64{
	"days_in_month": daysInMonth,
	"day_of_month":  dayOfMonth,
	"day_of_week":   dayOfWeek,
	"day_of_year":   dayOfYear,
	"hour":          hour,
	"minute":        minute,
	"month":         month,
	"year":          year,
}

func daysInMonth(t time.Time) float64 {
	return float64(32 - time.Date(t.Year(), t.Month(), 32, 0, 0, 0, 0, time.UTC).Day())
}
func dayOfMonth(t time.Time) float64 { return float64(t.Day()) }
func dayOfWeek(t time.Time) float64  { return float64(t.Weekday()) }
func dayOfYear(t time.Time) float64  { return float64(t.YearDay()) }
func hour(t time.Time) float64       { return float64(t.Hour()) }
func minute(t time.Time) float64     { return float64(t.Minute()) }
func month(t time.Time) float64      { return float64(t.Month()) }
func year(t time.Time) float64       { return float64(t.Year()) }

// ofDates applies f to floats that are times in seconds.
func ofDates(f func(time.Time) float64) mapper {
	return ofFloats(func(v float64) float64 { return f(time.Unix(int64(v), 0).UTC()) })
}
