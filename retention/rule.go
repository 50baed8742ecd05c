package retention

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/varve-db/varve/tenant"
)

// Resolution is the width of the windows that samples were thinned to.
type Resolution time.Duration

// Any is every resolution, Raw that of samples as they were written, the others those
// of windows.
const (
	Any Resolution = -1
	Raw Resolution = 0

	Windows5m = Resolution(5 * time.Minute)
	Windows1h = Resolution(time.Hour)
)

// String returns the resolution as rules say it.
func (r Resolution) String() string {
	switch r {
	case Any:
		return "any"
	case Raw:
		return "raw"
	default:
		return model.Duration(r).String()
	}
}

// Rule says how long the series that it selects are kept.
type Rule struct {
	Tenant     string // by name; empty: every tenant
	Match      []string
	Resolution Resolution
	Keep       time.Duration // 0: for ever

	// Selectors are what Match says: a series has to satisfy all matchers of one of
	// them; nil: every series does.
	Selectors [][]*labels.Matcher
	line      int
}

// Rules are a list of which the first rule counts that is about a series.
type Rules []Rule

// Bounds of a list.
const (
	rulesMax = 256
	keepMin  = time.Hour
)

// ParseText reads a list of rules from YAML.
func ParseText(text []byte) (Rules, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	return Parse("policies", document.Content[0])
}

// Parse reads a list of rules, which stands in the file at path. It refuses rules
// that keep nothing, and those that no series ever reaches.
func Parse(path string, n *yaml.Node) (Rules, error) {
	p := ruleParser{path: path}
	if n.Kind != yaml.SequenceNode {
		if n.Tag != "!!null" {
			p.fail(n.Line, "retention policies must be a list")
		}
		return nil, errors.Join(p.errs...)
	}
	if len(n.Content) > rulesMax {
		p.fail(n.Line, "%d retention policies, the limit is %d", len(n.Content), rulesMax)
		return nil, errors.Join(p.errs...)
	}
	var list Rules
	for _, one := range n.Content {
		before := len(p.errs)
		r := p.rule(one)
		if len(p.errs) == before {
			p.reachable(list, &r)
			list = append(list, r)
		}
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return list, nil
}

type ruleParser struct {
	path string
	errs []error
}

func (p *ruleParser) fail(line int, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %s", p.path, line, fmt.Sprintf(format, args...)))
}

// ruleKeys are the keys of a rule.
var ruleKeys = []string{"tenant", "match", "resolution", "keep"}

func (p *ruleParser) rule(n *yaml.Node) Rule {
	r := Rule{Resolution: Any, line: n.Line}
	if n.Kind != yaml.MappingNode {
		p.fail(n.Line, "a retention policy must be a mapping of %s", strings.Join(ruleKeys, ", "))
		return r
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(ruleKeys, key.Value):
			p.fail(key.Line, "unknown key %q in a retention policy: %s are known", key.Value, strings.Join(ruleKeys, ", "))
		case seen[key.Value]:
			p.fail(key.Line, "a retention policy has %q twice", key.Value)
		case key.Value == "match":
			p.match(&r, value)
		case value.Kind != yaml.ScalarNode || value.Tag == "!!null" || value.Value == "":
			p.fail(value.Line, "%q must have one value", key.Value)
		default:
			if err := r.set(key.Value, value.Value); err != nil {
				p.fail(value.Line, "%s: %v", key.Value, err)
			}
		}
		seen[key.Value] = true
	}
	if !seen["keep"] {
		p.fail(n.Line, "a retention policy without keep: say for how long, or forever")
	}
	return r
}

// set sets what has one value.
func (r *Rule) set(key, text string) (err error) {
	switch key {
	case "tenant":
		r.Tenant = text
		return tenant.CheckName(text)
	case "keep":
		r.Keep, err = parseKeep(text)
	case "resolution":
		r.Resolution, err = parseResolution(text)
	}
	return err
}

func parseKeep(text string) (time.Duration, error) {
	if text == "forever" {
		return 0, nil
	}
	d, err := model.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is neither a duration such as 30d nor forever", text)
	case d == 0:
		return 0, errors.New("0 keeps nothing: say a duration, or forever")
	case time.Duration(d) < keepMin:
		return 0, fmt.Errorf("%s keeps next to nothing: use at least %s", d, model.Duration(keepMin))
	}
	return time.Duration(d), nil
}

func parseResolution(text string) (Resolution, error) {
	switch text {
	case "any":
		return Any, nil
	case "raw":
		return Raw, nil
	}
	d, err := model.ParseDuration(text)
	if r := Resolution(d); err == nil && (r == Windows5m || r == Windows1h) {
		return r, nil
	}
	return 0, fmt.Errorf("%q is no resolution: use raw, 5m, 1h or any", text)
}

// match reads selectors: one, or a list.
func (p *ruleParser) match(r *Rule, n *yaml.Node) {
	texts := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		texts = n.Content
	}
	if len(texts) == 0 {
		p.fail(n.Line, "match selects no series: leave it out to select all")
	}
	for _, one := range texts {
		if one.Kind != yaml.ScalarNode || one.Tag == "!!null" {
			p.fail(one.Line, "match must be a list of selectors such as '{env=\"dev\"}'")
			continue
		}
		ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(one.Value)
		if err != nil {
			p.fail(one.Line, "match: %v", err)
			continue
		}
		if a, b, ok := exclusive(ms); ok {
			p.fail(one.Line, "match: %s selects no series: %s and %s exclude each other", one.Value, a, b)
		}
		r.Match, r.Selectors = append(r.Match, one.Value), append(r.Selectors, ms)
	}
}

// exclusive returns two matchers of a selector that no series satisfies together.
func exclusive(ms []*labels.Matcher) (a, b *labels.Matcher, ok bool) {
	for _, a := range ms {
		for _, b := range ms {
			if a.Type == labels.MatchEqual && a.Name == b.Name && !b.Matches(a.Value) {
				return a, b, true
			}
		}
	}
	return nil, nil, false
}

// reachable fails if an earlier rule takes all that r is about.
func (p *ruleParser) reachable(earlier Rules, r *Rule) {
	for i := range earlier {
		before := &earlier[i]
		switch {
		case !before.covers(r):
		case r.covers(before) && before.Keep != r.Keep:
			p.fail(r.line, "contradicts the retention policy of line %d, which is about the same series and keeps them %s", before.line, KeepText(before.Keep))
			return
		default:
			p.fail(r.line, "this retention policy is never reached: the one of line %d comes first and takes all that this one selects", before.line)
			return
		}
	}
}

// covers reports whether r is about all that o is about, as far as their texts tell.
func (r *Rule) covers(o *Rule) bool {
	if r.Tenant != "" && r.Tenant != o.Tenant || r.Resolution != Any && r.Resolution != o.Resolution {
		return false
	}
	if r.Selectors == nil {
		return true
	}
	covered := func(ms []*labels.Matcher) bool {
		return slices.ContainsFunc(r.Selectors, func(wider []*labels.Matcher) bool { return wide(wider, ms) })
	}
	return o.Selectors != nil && !slices.ContainsFunc(o.Selectors, func(ms []*labels.Matcher) bool { return !covered(ms) })
}

// wide reports whether each matcher of wider is implied by one of ms.
func wide(wider, ms []*labels.Matcher) bool {
	implied := func(w *labels.Matcher) bool {
		return slices.ContainsFunc(ms, func(m *labels.Matcher) bool {
			return m.Name == w.Name && (m.Type == w.Type && m.Value == w.Value || m.Type == labels.MatchEqual && w.Matches(m.Value))
		})
	}
	return !slices.ContainsFunc(wider, func(w *labels.Matcher) bool { return !implied(w) })
}

// KeepText returns a time for which samples are kept as rules say it.
func KeepText(d time.Duration) string {
	if d == 0 {
		return "forever"
	}
	return model.Duration(d).String()
}

// About reports whether the rule is about samples of a tenant and a resolution.
func (r *Rule) About(tenant string, resolution Resolution) bool {
	return (r.Tenant == "" || r.Tenant == tenant) && (r.Resolution == Any || r.Resolution == resolution)
}

// YAML writes the list as a file would say it, each line after indent.
func (l Rules) YAML(indent string) string {
	var b strings.Builder
	for _, r := range l {
		fmt.Fprintf(&b, "%s- keep: %s\n", indent, KeepText(r.Keep))
		if r.Tenant != "" {
			fmt.Fprintf(&b, "%s  tenant: %q\n", indent, r.Tenant)
		}
		if r.Resolution != Any {
			fmt.Fprintf(&b, "%s  resolution: %s\n", indent, r.Resolution)
		}
		for i, m := range r.Match {
			if i == 0 {
				fmt.Fprintf(&b, "%s  match:\n", indent)
			}
			fmt.Fprintf(&b, "%s    - %q\n", indent, m)
		}
	}
	return b.String()
}
