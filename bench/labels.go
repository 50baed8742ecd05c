package bench

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Label is a name and a value of a series' label set.
type Label struct{ Name, Value string }

// sortLabels orders labels as remote write demands.
func sortLabels(ls []Label) {
	slices.SortFunc(ls, func(x, y Label) int { return cmp.Compare(x.Name, y.Name) })
}

// setLabel sets the value of a label, adding it when it is absent.
func setLabel(ls []Label, name, value string) []Label {
	for i := range ls {
		if ls[i].Name == name {
			ls[i].Value = value
			return ls
		}
	}
	return append(ls, Label{name, value})
}

var errSeriesName = errors.New("not a series name")

// ParseSeries reads metric{name="value",...}. It accepts a trailing comma and
// an empty second pair of braces, which some exporters' logs have.
func ParseSeries(text string) ([]Label, error) {
	metric, rest, braces := strings.Cut(text, "{")
	ls := []Label{{"__name__", metric}}
	if metric == "" {
		return nil, fmt.Errorf("%w: %q has no metric name", errSeriesName, text)
	}
	if !braces {
		return ls, nil
	}
	for {
		rest = strings.TrimLeft(rest, ", ")
		if after, ok := strings.CutPrefix(rest, "}"); ok {
			if after != "" && after != "{}" {
				return nil, fmt.Errorf("%w: %q goes on after its labels", errSeriesName, text)
			}
			return ls, nil
		}
		name, quoted, ok := strings.Cut(rest, `="`)
		if !ok || name == "" {
			return nil, fmt.Errorf("%w: %q has a label without a value", errSeriesName, text)
		}
		value, after, ok := cutQuoted(quoted)
		if !ok {
			return nil, fmt.Errorf("%w: %q has an open quote", errSeriesName, text)
		}
		ls, rest = append(ls, Label{name, value}), after
	}
}

// cutQuoted reads up to the closing quote and undoes the escapes.
func cutQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			if s[i] == 'n' {
				b.WriteByte('\n')
			} else {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
