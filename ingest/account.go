package ingest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/varve-db/varve/series"
)

// account is all that came of a request: what was stored, what was refused, and
// which lines could not be read.
type account struct {
	series.Outcome
	lines badLines
}

// add counts a part of the request: what its decoder refused, and what the
// storage made of the rest.
func (a *account) add(refused series.Refusals, stored series.Outcome) {
	a.Samples += stored.Samples
	a.Histograms += stored.Histograms
	a.Exemplars += stored.Exemplars
	a.Refused.Merge(refused)
	a.Refused.Merge(stored.Refused)
}

// faultless reports whether all of the request was stored.
func (a *account) faultless() bool { return a.Refused.Empty() && a.lines.count == 0 }

// String says in words what was not stored, and why.
func (a *account) String() string {
	var parts []string
	if a.lines.count > 0 {
		parts = append(parts, a.lines.String())
	}
	if !a.Refused.Empty() {
		parts = append(parts, a.Refused.String())
	}
	return strings.Join(parts, "; ")
}

// badLines counts the lines that could not be read, and keeps what is wrong
// with the first of them.
type badLines struct {
	count int
	first []string
}

const (
	shownLines     = 5
	lineErrorBytes = 300
)

func (l *badLines) add(number int, err error) {
	if l.count++; len(l.first) == shownLines {
		return
	}
	text := strings.ToValidUTF8(err.Error(), "\uFFFD")
	if len(text) > lineErrorBytes {
		end := lineErrorBytes
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "..."
	}
	l.first = append(l.first, fmt.Sprintf("line %d: %s", number, text))
}

func (l *badLines) String() string {
	lines := "lines"
	if l.count == 1 {
		lines = "line"
	}
	text := fmt.Sprintf("could not read %d %s: %s", l.count, lines, strings.Join(l.first, "; "))
	if more := l.count - len(l.first); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}
