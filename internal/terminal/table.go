package terminal

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const metricName = "__name__"

// Name returns the series in PromQL's notation.
func (s Series) Name() string {
	var b strings.Builder
	b.WriteString(s.Labels[metricName])
	separator := "{"
	for _, name := range labelNames([]Series{s}) {
		if name != metricName {
			fmt.Fprintf(&b, "%s%s=%q", separator, name, s.Labels[name])
			separator = ","
		}
	}
	switch {
	case separator == ",":
		b.WriteByte('}')
	case b.Len() == 0:
		b.WriteString("{}")
	}
	return b.String()
}

// labelNames returns the labels of all series in order, the metric's name first.
func labelNames(all []Series) []string {
	names := map[string]bool{}
	for _, s := range all {
		for name := range s.Labels {
			names[name] = true
		}
	}
	sorted := slices.Sorted(maps.Keys(names))
	if i := slices.Index(sorted, metricName); i > 0 {
		sorted = slices.Insert(slices.Delete(sorted, i, i+1), 0, metricName)
	}
	return sorted
}

// text returns the value as PromQL writes it.
func (p Point) text() string {
	if h := p.Histogram; h != nil {
		return "histogram(count " + h.Count + ", sum " + h.Sum + ")"
	}
	return number(p.Value)
}

func number(v float64) string {
	switch text := strconv.FormatFloat(v, 'g', -1, 64); {
	case text == "+Inf" || text == "-Inf" || text == "NaN":
		return text
	case v > -1e15 && v < 1e15 && !strings.Contains(text, "e-"):
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return text
	}
}

// WriteTable writes a table of labels and values that fits width columns: a
// column a label if there is room, else each series in PromQL's notation.
func WriteTable(w io.Writer, a Answer, width int, zone *time.Location) error {
	switch {
	case a.Kind == "string":
		_, err := fmt.Fprintln(w, a.Text)
		return err
	case a.Kind == "scalar" && len(a.Series) == 1:
		_, err := fmt.Fprintln(w, a.Series[0].Points[0].text())
		return err
	case len(a.Series) == 0:
		_, err := fmt.Fprintln(w, "(no series)")
		return err
	}
	rows := tableRows(a, labelNames(a.Series), zone)
	if rowsWidth(rows) > width {
		rows = tableRows(a, nil, zone)
	}
	return writeRows(w, rows)
}

// tableRows returns the header and a row for each point, with a column for
// each label, or one for the series.
func tableRows(a Answer, columns []string, zone *time.Location) [][]string {
	var header []string
	if a.Kind == "matrix" {
		header = append(header, "TIME")
	}
	if columns == nil {
		header = append(header, "SERIES")
	}
	for _, name := range columns {
		if name == metricName {
			name = "metric"
		}
		header = append(header, strings.ToUpper(name))
	}
	rows := [][]string{append(header, "VALUE")}
	for _, s := range a.Series {
		for _, p := range s.Points {
			var row []string
			if a.Kind == "matrix" {
				row = append(row, p.Time.In(zone).Format("2006-01-02 15:04:05"))
			}
			if columns == nil {
				row = append(row, s.Name())
			}
			for _, name := range columns {
				row = append(row, s.Labels[name])
			}
			rows = append(rows, append(row, p.text()))
		}
	}
	return rows
}

const columnGap = 2

func columnWidths(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func rowsWidth(rows [][]string) int {
	total := -columnGap
	for _, w := range columnWidths(rows) {
		total += w + columnGap
	}
	return total
}

// writeRows aligns the columns, the last one to the right.
func writeRows(w io.Writer, rows [][]string) error {
	widths := columnWidths(rows)
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == len(row)-1 {
				b.WriteString(padding + cell + "\n")
			} else {
				b.WriteString(cell + padding + strings.Repeat(" ", columnGap))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteCSV writes a row for each point: its time, the labels, the value.
func WriteCSV(w io.Writer, a Answer) error {
	out := csv.NewWriter(w)
	if a.Kind == "string" {
		if err := out.WriteAll([][]string{{"value"}, {a.Text}}); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
		return nil
	}
	names := labelNames(a.Series)
	rows := [][]string{append(append([]string{"time"}, names...), "value")}
	for _, s := range a.Series {
		for _, p := range s.Points {
			row := []string{p.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00")}
			for _, name := range names {
				row = append(row, s.Labels[name])
			}
			rows = append(rows, append(row, p.text()))
		}
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}
