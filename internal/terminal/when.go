package terminal

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// ErrTime means that a text is not a time.
var ErrTime = errors.New("not a time: use now, -1h, now-1h30m, Unix seconds, 2006-01-02, 2006-01-02T15:04:05 or RFC 3339")

// layouts are the notations of absolute times; those without a zone are in the
// zone of now.
var layouts = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05", "2006-01-02 15:04:05",
	"2006-01-02T15:04", "2006-01-02 15:04",
	"2006-01-02",
}

// ParseTime reads an absolute time or one relative to now.
func ParseTime(text string, now time.Time) (time.Time, error) {
	relative, isNow := strings.CutPrefix(text, "now")
	if isNow && relative == "" {
		return now, nil
	}
	if relative != "" && (relative[0] == '-' || relative[0] == '+') {
		if d, err := model.ParseDuration(relative[1:]); err == nil {
			if relative[0] == '-' {
				d = -d
			}
			return now.Add(time.Duration(d)), nil
		}
	}
	if isNow {
		return time.Time{}, fmt.Errorf("%q is %w", text, ErrTime)
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(s) < 1e12 {
		return moment(s).In(now.Location()), nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is %w", text, ErrTime)
}

// ParseDuration reads a duration as PromQL writes it (1h30m, 1d), or seconds.
func ParseDuration(text string) (time.Duration, error) {
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d), nil
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil && s >= 0 && s < 1e9 {
		return time.Duration(s * float64(time.Second)), nil
	}
	return 0, fmt.Errorf("%q is not a duration such as 15s, 1h30m or 1d", text)
}

// ChooseStep returns a round step that gives about points points.
func ChooseStep(span time.Duration, points int) time.Duration {
	steps := []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	}
	want := span / time.Duration(max(points, 1))
	for _, s := range steps {
		if s >= want {
			return s
		}
	}
	const day = 24 * time.Hour
	return (want + day - 1) / day * day
}

// moment returns the time of Unix seconds, to the millisecond.
func moment(seconds float64) time.Time {
	return time.UnixMilli(int64(math.Round(seconds * 1000)))
}

func sortPoints(points []Point) {
	slices.SortStableFunc(points, func(x, y Point) int { return cmp.Compare(x.Time.UnixMilli(), y.Time.UnixMilli()) })
}
