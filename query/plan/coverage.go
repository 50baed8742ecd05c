package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Coverage says what storage keeps of a part of time.
type Coverage struct {
	// Min and Max are its first and last milliseconds.
	Min, Max int64
	// Raw says that it has all samples, and not only windows of them.
	Raw bool
	// Widths are those of the windows that it has, milliseconds, ascending. Windows
	// of one width are of all samples.
	Widths []int64
}

// Coarsest bounds the windows that a query reads in place of samples: their width
// in milliseconds. The zero value says nothing.
type Coarsest int64

const (
	// Auto takes windows of any width.
	Auto Coarsest = math.MaxInt64
	// RawOnly takes none.
	RawOnly Coarsest = -1
)

// errCoarsest is what ParseCoarsest says.
var errCoarsest = errors.New("neither auto nor raw nor a duration")

// ParseCoarsest reads auto, raw, 0 (which is raw), or a duration; nothing is the
// zero value.
func ParseCoarsest(text string) (Coarsest, error) {
	switch text {
	case "":
		return 0, nil
	case "auto":
		return Auto, nil
	case "raw", "0":
		return RawOnly, nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is %w", text, errCoarsest)
	}
	if ms := time.Duration(d).Milliseconds(); ms > 0 {
		return Coarsest(ms), nil
	}
	return RawOnly, nil
}

// String returns what ParseCoarsest reads.
func (c Coarsest) String() string {
	switch {
	case c == 0:
		return ""
	case c == Auto:
		return "auto"
	case c < 0:
		return "raw"
	}
	return widthText(int64(c))
}

// widthText returns a width as it is shown.
func widthText(width int64) string {
	if width == 0 {
		return string(Raw)
	}
	return model.Duration(time.Duration(width) * time.Millisecond).String()
}

// Source is a part of time and the width of the windows that are read of it.
type Source struct{ Min, Max, Width int64 }

// addSource adds a part to others, which are ascending, and unites what touches and
// has one width.
func addSource(to []Source, s Source) []Source {
	for i := range to {
		if at := &to[i]; at.Width == s.Width && s.Min <= at.Max+1 && s.Max >= at.Min-1 {
			s.Min, s.Max = min(s.Min, at.Min), max(s.Max, at.Max)
			return addSource(slices.Delete(to, i, i+1), s)
		}
	}
	at, _ := slices.BinarySearchFunc(to, s.Min, func(o Source, t int64) int { return int(min(max(o.Min-t, -1), 1)) })
	return slices.Insert(to, at, s)
}

// spans returns parts of time as they are shown, those of one width if width is not
// below 0.
func spans(of []Source, width int64) string {
	var b strings.Builder
	for _, s := range of {
		if width >= 0 && s.Width != width {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(moment(s.Min) + ".." + moment(s.Max+1))
	}
	return b.String()
}

// moment returns a time as it is shown: as a date, if a day begins.
func moment(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02T15:04Z")
}
