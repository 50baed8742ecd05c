package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/varve-db/varve/tenant"
)

// limitsKey is the section of the file that says what tenants may do:
//
//	limits:
//	  default: {active-series: 1000000}
//	  tenants:
//	    team-a: {samples-per-second: 50000}
//
// A tenant has the default's limits where its own entry says nothing.
const limitsKey = "limits"

// limit is one key of an entry. 0 sets no limit.
type limit struct {
	name string
	bind func(*tenant.Limits) field
}

func limits() []limit {
	return []limit{
		{"samples-per-second", func(l *tenant.Limits) field { return countValue{&l.SamplesPerSecond} }},
		{"samples-burst", func(l *tenant.Limits) field { return countValue{&l.SamplesBurst} }},
		{"active-series", func(l *tenant.Limits) field { return countValue{&l.SeriesMax} }},
		{"series-per-metric", func(l *tenant.Limits) field { return countValue{&l.SeriesPerMetricMax} }},
		{"request-bytes", func(l *tenant.Limits) field { return sizeValue{&l.RequestBytesMax} }},
		{"labels", func(l *tenant.Limits) field { return countValue{&l.LabelsMax} }},
		{"label-name-bytes", func(l *tenant.Limits) field { return countValue{&l.LabelNameBytesMax} }},
		{"label-value-bytes", func(l *tenant.Limits) field { return countValue{&l.LabelValueBytesMax} }},
		{"age", func(l *tenant.Limits) field { return durationValue{&l.AgeMax} }},
		{"ahead", func(l *tenant.Limits) field { return durationValue{&l.AheadMax} }},
	}
}

// parseLimits reads the section from the file at path.
func parseLimits(path string, content []byte) (*tenant.LimitSet, error) {
	r := limitsReader{path: path}
	var document yaml.Node
	if yaml.Unmarshal(content, &document) != nil || len(document.Content) == 0 {
		return nil, nil // parseYAML says what is wrong
	}
	r.mapping("the file", document.Content[0], func(key string, _, value *yaml.Node) {
		if key == limitsKey {
			r.section(value)
		}
	})
	return r.set, errors.Join(r.errs...)
}

type limitsReader struct {
	path string
	set  *tenant.LimitSet // nil: there is no section
	errs []error
}

func (r *limitsReader) fail(n *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.path, n.Line, fmt.Sprintf(format, args...)))
}

// mapping calls visit for each key of n, which must not come twice.
func (r *limitsReader) mapping(what string, n *yaml.Node, visit func(key string, at, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		if n.Tag != "!!null" {
			r.fail(n, "%s must be a mapping", what)
		}
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			r.fail(key, "%s has %q twice", what, key.Value)
			continue
		}
		seen[key.Value] = true
		visit(key.Value, key, n.Content[i+1])
	}
}

// section reads the default first, since the tenants begin with it.
func (r *limitsReader) section(n *yaml.Node) {
	r.set = &tenant.LimitSet{}
	r.mapping(limitsKey, n, func(key string, at, value *yaml.Node) {
		switch key {
		case "default":
			r.entry("limits.default", value, &r.set.Default)
		case "tenants":
		default:
			r.fail(at, "unknown key %q in limits: default and tenants are known", key)
		}
	})
	r.mapping(limitsKey, n, func(key string, _, value *yaml.Node) {
		if key != "tenants" {
			return
		}
		r.set.Tenants = map[string]tenant.Limits{}
		r.mapping("limits.tenants", value, func(name string, at, value *yaml.Node) {
			if err := tenant.CheckName(name); err != nil {
				r.fail(at, "%v", err)
			}
			own := r.set.Default
			r.entry("limits.tenants."+name, value, &own)
			r.set.Tenants[name] = own
		})
	})
}

func (r *limitsReader) entry(what string, n *yaml.Node, into *tenant.Limits) {
	r.mapping(what, n, func(key string, at, value *yaml.Node) {
		i := slices.IndexFunc(limits(), func(l limit) bool { return l.name == key })
		switch {
		case i < 0:
			r.fail(at, "unknown limit %q%s", key, suggest(key, limitNames()))
		case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
			r.fail(value, "limit %q must have one value", key)
		default:
			if err := limits()[i].bind(into).Set(value.Value); err != nil {
				r.fail(value, "%s: %v", key, err)
			}
		}
	})
}

func limitNames() []string {
	var names []string
	for _, l := range limits() {
		names = append(names, l.name)
	}
	return names
}

// limitsYAML writes limits as the file would say them; nothing if there are none.
func limitsYAML(s *tenant.LimitSet) string {
	if s == nil {
		return ""
	}
	var b strings.Builder
	entry := func(indent, name string, l tenant.Limits) {
		fmt.Fprintf(&b, "%s%q:\n", indent, name)
		for _, one := range limits() {
			fmt.Fprintf(&b, "%s  %s: %s\n", indent, one.name, one.bind(&l))
		}
	}
	b.WriteString(limitsKey + ":\n")
	entry("  ", "default", s.Default)
	if len(s.Tenants) > 0 {
		b.WriteString("  tenants:\n")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Tenants)) {
		entry("    ", name, s.Tenants[name])
	}
	return b.String()
}
