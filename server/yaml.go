package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// located is a text with the place in a file where it stands.
type located struct {
	text  string
	where string // file:line
}

// parseYAML flattens a file's nested mappings into settings by their dotted
// names. A dotted key is the same as nesting.
func parseYAML(path string, content []byte) (map[string]located, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	w := yamlWalk{path: path, got: map[string]located{}, names: map[string]bool{}}
	for _, s := range Settings() {
		w.names[s.Name] = true
		w.ordered = append(w.ordered, s.Name)
	}
	if len(document.Content) > 0 {
		w.mapping("", document.Content[0])
	}
	return w.got, errors.Join(w.errs...)
}

type yamlWalk struct {
	path    string
	got     map[string]located
	names   map[string]bool
	ordered []string
	errs    []error
}

func (w *yamlWalk) fail(n *yaml.Node, format string, args ...any) {
	w.errs = append(w.errs, fmt.Errorf("%s:%d: %s", w.path, n.Line, fmt.Sprintf(format, args...)))
}

func (w *yamlWalk) mapping(prefix string, n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		w.fail(n, "aliases are not supported")
		return
	}
	if n.Kind != yaml.MappingNode {
		if n.Tag == "!!null" {
			return // an empty file or section
		}
		w.fail(n, "%s must be a mapping of settings", section(prefix))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		name := key.Value
		if prefix != "" {
			name = prefix + "." + key.Value
		}
		switch {
		case w.names[name]:
			w.setting(name, key, val)
		case w.isSection(name):
			w.mapping(name, val)
		case prefix == "" && slices.Contains(fileSections(), name): // read by parseSections
		case name == policiesKey: // read by parsePolicies
		case name == fileSetting:
			w.fail(key, "%s cannot be set in the file itself", fileSetting)
		default:
			w.fail(key, "unknown setting %q%s", name, suggest(name, w.ordered))
		}
	}
}

func (w *yamlWalk) setting(name string, key, val *yaml.Node) {
	if before, twice := w.got[name]; twice {
		w.fail(key, "setting %q is set twice, first at %s", name, before.where)
		return
	}
	if val.Kind != yaml.ScalarNode || val.Tag == "!!null" {
		w.fail(val, "setting %q must have one value", name)
		return
	}
	w.got[name] = located{val.Value, fmt.Sprintf("%s:%d", w.path, val.Line)}
}

func (w *yamlWalk) isSection(name string) bool {
	for known := range w.names {
		if strings.HasPrefix(known, name+".") {
			return true
		}
	}
	return false
}

func section(prefix string) string {
	if prefix == "" {
		return "the file"
	}
	return fmt.Sprintf("section %q", prefix)
}
