package exec

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// relabel gives series other labels; label sets that become equal are left to
// merge.
type relabel struct {
	Operator
	prepare func() (func(labels.Labels) (string, bool), error)
	dst     string
}

func newRelabel(e *parser.Call, child Operator) *relabel {
	r := &relabel{Operator: child, dst: text(e.Args[1])}
	if e.Func.Name == "label_join" {
		r.prepare = func() (func(labels.Labels) (string, bool), error) { return joined(e, r.dst) }
	} else {
		r.prepare = func() (func(labels.Labels) (string, bool), error) { return replaced(e, r.dst) }
	}
	return r
}

func (r *relabel) Series(ctx context.Context) ([]Series, error) {
	made, err := r.prepare()
	if err != nil {
		return nil, err
	}
	series, err := r.Operator.Series(ctx)
	out := make([]Series, len(series))
	b := labels.NewBuilder(labels.EmptyLabels())
	for i, s := range series {
		if v, ok := made(s.Labels); ok {
			b.Reset(s.Labels)
			b.Set(r.dst, v)
			s.Labels = b.Labels()
			if r.dst == model.MetricNameLabel {
				s.DropName = false
			}
		}
		out[i] = s
	}
	return out, err
}

// replaced returns what label_replace makes of a label set, and whether it does.
func replaced(e *parser.Call, dst string) (func(labels.Labels) (string, bool), error) {
	replacement, src, expr := text(e.Args[2]), text(e.Args[3]), text(e.Args[4])
	pattern, err := regexp.Compile("^(?s:" + expr + ")$")
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression in label_replace(): %s", expr)
	}
	if !model.UTF8Validation.IsValidLabelName(dst) {
		return nil, fmt.Errorf("invalid destination label name in label_replace(): %s", dst)
	}
	type outcome struct {
		value   string
		matches bool
	}
	known := map[string]outcome{}
	return func(ls labels.Labels) (string, bool) {
		from := ls.Get(src)
		out, ok := known[from]
		if !ok {
			if at := pattern.FindStringSubmatchIndex(from); at != nil {
				out = outcome{string(pattern.ExpandString(nil, replacement, from, at)), true}
			}
			known[from] = out
		}
		return out.value, out.matches
	}, nil
}

// joined returns what label_join makes of a label set.
func joined(e *parser.Call, dst string) (func(labels.Labels) (string, bool), error) {
	separator := text(e.Args[2])
	names := make([]string, len(e.Args)-3)
	for i := range names {
		names[i] = text(e.Args[3+i])
		if !model.UTF8Validation.IsValidLabelName(names[i]) {
			return nil, fmt.Errorf("invalid source label name in label_join(): %s", names[i])
		}
	}
	if !model.UTF8Validation.IsValidLabelName(dst) {
		return nil, fmt.Errorf("invalid destination label name in label_join(): %s", dst)
	}
	values := make([]string, len(names))
	return func(ls labels.Labels) (string, bool) {
		for i, name := range names {
			values[i] = ls.Get(name)
		}
		return strings.Join(values, separator), true
	}, nil
}
