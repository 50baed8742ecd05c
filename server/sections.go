package server

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/varve-db/varve/ingest/relabel"
	"github.com/varve-db/varve/ingest/scrape"
)

// fileSections are the top-level keys of the file that are not settings: they
// have the shape that Prometheus's file gives them, and no flag says the same.
func fileSections() []string { return append(scrape.Keys(), relabel.Key, limitsKey) }

// parseSections reads them from the file at path.
func (c *ScrapeConfig) parseSections(path string, content []byte) error {
	var scrapeErr, relabelErr error
	if text := only(content, scrape.Keys()...); text != nil {
		c.Jobs, scrapeErr = scrape.Parse(text, filepath.Dir(path), nil)
	}
	if text := only(content, relabel.Key); text != nil {
		c.Relabel, relabelErr = relabel.Parse(text)
	}
	return errors.Join(atLines(path, scrapeErr), atLines(path, relabelErr))
}

// only returns content with nothing but the given top-level keys, on the lines
// where they were; nil if it has none of them.
func only(content []byte, names ...string) []byte {
	var document yaml.Node
	if yaml.Unmarshal(content, &document) != nil || len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil // parseYAML says what is wrong
	}
	root := document.Content[0]
	lines := bytes.SplitAfter(content, []byte("\n"))
	out := make([][]byte, len(lines))
	for i := range out {
		out[i] = []byte("\n")
	}
	found := false
	for i := 0; i+1 < len(root.Content); i += 2 {
		if !slices.Contains(names, root.Content[i].Value) {
			continue
		}
		found = true
		first, end := root.Content[i].Line-1, len(lines)
		if i+2 < len(root.Content) {
			end = root.Content[i+2].Line - 1
		}
		copy(out[first:end], lines[first:end])
	}
	if !found {
		return nil
	}
	if root.Style&yaml.FlowStyle != 0 { // keys share lines
		return onlyInFlow(root, names)
	}
	return bytes.Join(out, nil)
}

func onlyInFlow(root *yaml.Node, names []string) []byte {
	part := *root
	part.Content = nil
	for i := 0; i+1 < len(root.Content); i += 2 {
		if slices.Contains(names, root.Content[i].Value) {
			part.Content = append(part.Content, root.Content[i:i+2]...)
		}
	}
	text, err := yaml.Marshal(&part)
	if err != nil {
		panic(fmt.Sprintf("what was read as YAML is YAML: %v", err))
	}
	return text
}

var (
	atLine       = regexp.MustCompile(`line (\d+): (.*)`)
	unknownField = regexp.MustCompile(`field (\S+) (not found|already set) in type .*`)
)

// atLines says errors of the YAML package as the other errors of a file are said.
func atLines(path string, err error) error {
	if err == nil {
		return nil
	}
	var all []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		line = strings.TrimSpace(line)
		switch m := atLine.FindStringSubmatch(line); {
		case m != nil:
			text := unknownField.ReplaceAllStringFunc(m[2], func(s string) string {
				f := unknownField.FindStringSubmatch(s)
				if f[2] == "not found" {
					return fmt.Sprintf("unknown field %q", f[1])
				}
				return fmt.Sprintf("field %q is set twice", f[1])
			})
			all = append(all, fmt.Errorf("%s:%s: %s", path, m[1], text))
		case line != "" && line != "yaml: unmarshal errors:":
			all = append(all, fmt.Errorf("%s: %s", path, strings.TrimPrefix(line, "yaml: ")))
		}
	}
	return errors.Join(all...)
}
