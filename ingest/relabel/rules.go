package relabel

import (
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v2"
)

// Key is the top-level key of a configuration file under which rules stand.
const Key = "write_relabel_configs"

// Rules are what is done to label sets, one after the other. The zero value does
// nothing. They are read-only.
type Rules struct{ file *file } // nil: none

// file is the part of a configuration file that Parse reads.
type file struct {
	List []*relabel.Config `yaml:"write_relabel_configs"`
}

// Parse reads the rules in text, YAML with Key alone at its top. Its errors are
// those of the YAML package, with line numbers of text.
func Parse(text []byte) (Rules, error) {
	var f file
	if err := yaml.UnmarshalStrict(text, &f); err != nil {
		return Rules{}, err
	}
	for i, rule := range f.List {
		if rule == nil {
			return Rules{}, fmt.Errorf("%s: rule %d is empty", Key, i+1)
		}
		if err := rule.Validate(model.UTF8Validation); err != nil {
			return Rules{}, fmt.Errorf("%s: rule %d: %w", Key, i+1, err)
		}
	}
	if len(f.List) == 0 {
		return Rules{}, nil
	}
	return Rules{&f}, nil
}

// YAML returns the rules as a file says them; nothing if there are none.
func (r Rules) YAML() string {
	if r.file == nil {
		return ""
	}
	text, err := yaml.Marshal(r.file)
	if err != nil {
		return fmt.Sprintf("# the rules cannot be shown: %v\n", err)
	}
	return string(text)
}
