package terminal

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// GraphOptions says how large a graph is and what it spans.
type GraphOptions struct {
	Width, Height int // in characters, axes included, legend not; at least 40 by 6
	Start, End    time.Time
	Step          time.Duration // points further apart are not joined
	Zone          *time.Location
	Color         bool // whether the terminal shows colours
}

const (
	graphWidthMin  = 40
	graphHeightMin = 6
	graphLinesMax  = 12 // series drawn
	axisRows       = 2  // the time axis and its labels
)

// colors are ANSI foregrounds that are told apart on dark and light grounds.
var colors = []int{32, 33, 36, 35, 31, 34, 92, 93, 96, 95, 91, 94}

// WriteGraph draws the answer's series as lines of braille dots with axes and
// a legend. Each line ends in the letter that the legend explains.
func WriteGraph(w io.Writer, a Answer, o GraphOptions) error {
	o.Width, o.Height = max(o.Width, graphWidthMin), max(o.Height, graphHeightMin)
	drawn := a.Series[:min(len(a.Series), graphLinesMax)]
	low, high, some := valueRange(drawn)
	if !some {
		_, err := fmt.Fprintln(w, "(nothing to draw: no finite float values)")
		return err
	}
	axis := newValueAxis(low, high, o.Height-axisRows)
	plot := newCanvas(o.Width-axis.width-2, o.Height-axisRows) // the axis line and the letters
	for i, s := range drawn {
		plot.line(i, s.Points, axis, o)
	}
	var b strings.Builder
	for row := range plot.rows {
		fmt.Fprintf(&b, "%*s%s%s\n", axis.width, axis.labels[row], axis.tick(row), plot.row(row, o.Color))
	}
	writeTimeAxis(&b, axis.width, plot.columns, o)
	writeLegend(&b, a.Series, drawn, o)
	_, err := io.WriteString(w, b.String())
	return err
}

func valueRange(all []Series) (low, high float64, some bool) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range all {
		for _, p := range s.Points {
			if drawable(p) {
				low, high, some = min(low, p.Value), max(high, p.Value), true
			}
		}
	}
	return low, high, some
}

// drawable reports whether p has a place on an axis. The largest floats have
// none, so that spans and steps are finite too.
func drawable(p Point) bool {
	return p.Histogram == nil && math.Abs(p.Value) <= 1e300
}

// valueAxis maps values to dots, the highest value to the top.
type valueAxis struct {
	low, high float64
	rows      int
	labels    []string // one a row, "" where there is no tick
	width     int
}

// newValueAxis widens the range a little and labels about every third row
// with a round number.
func newValueAxis(low, high float64, rows int) valueAxis {
	if span := high - low; span < 1e-300 || span < 1e-12*max(math.Abs(low), math.Abs(high)) {
		spread := max(math.Abs(low)*0.1, 1e-3)
		low, high = low-spread, high+spread
	}
	step := roundStep((high - low) / float64(max(rows/3, 1)))
	fine := step / 5
	a := valueAxis{low: math.Floor(low/fine) * fine, high: math.Ceil(high/fine) * fine, rows: rows, labels: make([]string, rows)}
	first := math.Ceil(a.low/step - 1e-9)
	for i := range rows {
		v := (first + float64(i)) * step
		if v > a.high+fine/2 {
			break
		}
		a.labels[rows-1-min(a.dot(v)/dotsPerRow, rows-1)] = short(v, step)
	}
	for _, l := range a.labels {
		a.width = max(a.width, utf8.RuneCountInString(l))
	}
	return a
}

// dot returns the row of dots of v, 0 at the bottom.
func (a valueAxis) dot(v float64) int {
	return int(math.Round((v - a.low) / (a.high - a.low) * float64(a.rows*dotsPerRow-1)))
}

func (a valueAxis) tick(row int) string {
	if a.labels[row] != "" {
		return "┤"
	}
	return "│"
}

// roundStep returns the next 1, 2 or 5 times a power of ten.
func roundStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= x {
			return factor * power
		}
	}
	return 10 * power
}

// short writes v with as many decimals as the step between ticks needs.
func short(v, step float64) string {
	if most := max(math.Abs(v), step); most >= 1e15 || most < 1e-4 {
		return fmt.Sprintf("%.3g", v)
	}
	decimals := func(step float64) int { return max(0, int(math.Ceil(-math.Log10(step)-1e-9))) }
	for _, unit := range []struct {
		from, size float64
		name       string
	}{{1e12, 1e12, "T"}, {1e9, 1e9, "G"}, {1e6, 1e6, "M"}, {1e4, 1e3, "k"}} {
		if n := decimals(step / unit.size); math.Abs(v) >= unit.from && n <= 3 {
			return fmt.Sprintf("%.*f%s", n, v/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.*f", decimals(step), v)
}

// writeTimeAxis draws the line below the plot and up to four times under it.
func writeTimeAxis(b *strings.Builder, indent, columns int, o GraphOptions) {
	layout := "15:04:05"
	switch span := o.End.Sub(o.Start); {
	case span >= 4*24*time.Hour:
		layout = "2006-01-02"
	case span >= 24*time.Hour:
		layout = "Jan 02 15:04"
	case span >= 2*time.Hour:
		layout = "15:04"
	}
	line := []rune(strings.Repeat("─", columns))
	labels := []rune(strings.Repeat(" ", columns+1))
	width := len(layout)
	ticks := max(2, min(4, columns/(width+6)))
	for i := range ticks {
		at := i * (columns - 1) / (ticks - 1)
		line[at] = '┬'
		when := o.Start.Add(time.Duration(float64(o.End.Sub(o.Start)) * float64(i) / float64(ticks-1)))
		from := max(0, min(at-width/2, len(labels)-width))
		copy(labels[from:], []rune(when.In(o.Zone).Format(layout)))
	}
	fmt.Fprintf(b, "%*s└%s\n", indent, "", string(line))
	fmt.Fprintf(b, "%*s %s\n", indent, "", strings.TrimRight(string(labels), " "))
}

// writeLegend explains the letters.
func writeLegend(b *strings.Builder, all, drawn []Series, o GraphOptions) {
	const nameRoom = 12 // what a cut name must keep
	for i, s := range drawn {
		name := s.Name()
		room := o.Width - 2 - columnGap
		short, long := figures(s)
		if room-len(long) < min(nameRoom, utf8.RuneCountInString(name)) {
			long = short
		}
		if room -= len(long); utf8.RuneCountInString(name) > room {
			name = string([]rune(name)[:room-1]) + "…"
		}
		letter := string(letterOf(i))
		if o.Color {
			letter = paint(i, letter)
		}
		fmt.Fprintf(b, "%s %s  %s\n", letter, name, long)
	}
	if more := len(all) - len(drawn); more > 0 {
		fmt.Fprintf(b, "and %d more; topk() chooses some\n", more)
	}
}

// figures sums up a series in few and in more words.
func figures(s Series) (short, long string) {
	low, high, some := valueRange([]Series{s})
	if !some {
		return "not finite", "no finite values"
	}
	last := s.Points[len(s.Points)-1].text()
	if p := s.Points[len(s.Points)-1]; drawable(p) {
		last = digits(p.Value)
	} else if p.Histogram != nil {
		last = "histogram"
	}
	return "last " + last, fmt.Sprintf("min %s  max %s  last %s", digits(low), digits(high), last)
}

func digits(v float64) string { return fmt.Sprintf("%.4g", v) }

func letterOf(series int) rune { return rune('a' + series) }

func paint(series int, text string) string {
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colors[series%len(colors)], text)
}
