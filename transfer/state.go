package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// state is what an import has done, kept in a file.
type state struct {
	path string

	Source string   `json:"source"`
	Target string   `json:"target"`
	Done   []string `json:"done"` // names of parts
}

// loadState reads a state, or begins one; without a path nothing is kept.
func loadState(path, source, target string) (*state, error) {
	s := &state{path: path, Source: source, Target: target}
	if path == "" {
		return s, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	kept := state{path: path}
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, fmt.Errorf("read state %s: %w", path, err)
	}
	if kept.Source != source || kept.Target != target {
		return nil, fmt.Errorf("state %s is of an import from %s to %s: choose another file, or remove it", path, kept.Source, kept.Target)
	}
	return &kept, nil
}

func (s *state) isDone(part string) bool { return slices.Contains(s.Done, part) }

// finish takes note that a part is done.
func (s *state) finish(part string) error {
	s.Done = append(s.Done, part)
	if s.path == "" {
		return nil
	}
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	next := s.path + ".next"
	if err := os.WriteFile(next, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := os.Rename(next, s.path); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}
