package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func completionOf(t *testing.T, shell string) string {
	t.Helper()
	code, out, errs := call(t, nil, "completion", shell)
	if code != exitOK || errs != "" {
		t.Fatalf("varve completion %s: exit %d, %s", shell, code, errs)
	}
	return out
}

// TestCompletionKnowsEverything looks for every command and flag in each script.
func TestCompletionKnowsEverything(t *testing.T) {
	for _, shell := range shells {
		script := completionOf(t, shell.name)
		dashes := "--"
		if shell.name == "fish" {
			dashes = "-l "
		}
		flags := 0
		for _, c := range (&program{}).commands() {
			if !strings.Contains(script, c.name) {
				t.Errorf("%s does not know %s", shell.name, c.name)
			}
			for _, one := range append(c.kinds, c) {
				one.eachFlag(func(f *pflag.Flag, _ string) {
					if flags++; !strings.Contains(script, dashes+f.Name) {
						t.Errorf("%s does not know --%s of %s", shell.name, f.Name, one.name)
					}
				})
			}
		}
		if flags < 100 {
			t.Errorf("%d flags", flags)
		}
		if _, err := exec.LookPath(shell.name); err != nil {
			continue
		}
		parse := exec.CommandContext(t.Context(), shell.name, "-n")
		parse.Stdin = strings.NewReader(script)
		if out, err := parse.CombinedOutput(); err != nil {
			t.Errorf("%s cannot read its script: %v\n%s", shell.name, err, out)
		}
	}
}

func TestBashCompletes(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	script := completionOf(t, "bash")
	for line, want := range map[string]string{
		"varve ":                 "serve query bench backup restore import export check retention health completion version",
		"varve he":               "health",
		"varve serve --log.l":    "--log.level=",
		"varve bench ":           "ingest query",
		"varve bench query --co": "--concurrency= --count=",
		"varve import pro":       "prometheus-tsdb",
		"varve check --j":        "--json",
		"varve completion f":     "fish",
	} {
		words := strings.Split(line, " ")
		for i, w := range words {
			words[i] = "'" + w + "'"
		}
		ask := script + "\ncompopt() { :; }\nCOMP_WORDS=(" + strings.Join(words, " ") + ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_varve; echo \"${COMPREPLY[*]}\"\n"
		out, err := exec.CommandContext(t.Context(), "bash", "-c", ask).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q is completed as %q (%v), want %q", line, got, err, want)
		}
	}
}

func TestCompletionRefusesOtherShells(t *testing.T) {
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}, {"completion", "bash", "zsh"}} {
		if code, _, errs := call(t, nil, args...); code != exitUsage || !strings.Contains(errs, "bash, zsh") {
			t.Errorf("varve %q: exit %d, %s", args, code, errs)
		}
	}
}
