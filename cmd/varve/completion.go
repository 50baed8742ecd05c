package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

const completionHelp = `Write a shell's completion of varve's commands and flags.

  varve completion bash > /etc/bash_completion.d/varve
  varve completion zsh > ~/.zfunc/_varve           with ~/.zfunc in fpath
  varve completion fish > ~/.config/fish/completions/varve.fish

`

var shells = []command{
	{name: "bash", summary: "for bash"}, {name: "zsh", summary: "for zsh"}, {name: "fish", summary: "for fish"},
}

// completion writes a script that knows all commands and flags.
func (p *program) completion(_ context.Context, args []string) error {
	set := newFlags("completion", completionHelp, p.stdout)
	if err := set.Parse(args); err != nil {
		return usage(err)
	}
	if set.NArg() != 1 {
		return fmt.Errorf("%w: varve completion takes one shell: bash, zsh or fish", errUsage)
	}
	write := map[string]func([]command) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[set.Arg(0)]
	if write == nil {
		return fmt.Errorf("%w: completion knows bash, zsh and fish, not %q", errUsage, set.Arg(0))
	}
	_, err := io.WriteString(p.stdout, write(p.commands()))
	return err
}

func names(all []command) string {
	var s []string
	for _, c := range all {
		s = append(s, c.name)
	}
	return strings.Join(s, " ")
}

// eachFlag visits the flags of a command; those with a value end in "=".
func (c *command) eachFlag(visit func(f *pflag.Flag, text string)) {
	if c.flags == nil {
		return
	}
	c.flags().VisitAll(func(f *pflag.Flag) {
		text := "--" + f.Name
		if f.NoOptDefVal == "" {
			text += "="
		}
		visit(f, text)
	})
}

// withFlags lists the commands and those below them that have flags or kinds, with
// the words before the flags.
func withFlags(all []command, visit func(words string, c *command)) {
	for i := range all {
		c := &all[i]
		for j := range c.kinds {
			if k := &c.kinds[j]; k.flags != nil {
				visit(c.name+" "+k.name, k)
			}
		}
		visit(c.name, c)
	}
}

func bashCompletion(all []command) string {
	var s strings.Builder
	fmt.Fprintf(&s, `# bash completion of varve, by varve completion bash.
_varve() {
  local flags= kinds= current=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '%s' -- "$current"))
    return
  fi
  case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in
`, names(all))
	withFlags(all, func(words string, c *command) {
		var flags []string
		c.eachFlag(func(_ *pflag.Flag, text string) { flags = append(flags, text) })
		fmt.Fprintf(&s, "  '%s'*) flags='%s' kinds='%s' ;;\n", words, strings.Join(append(flags, "--help"), " "), names(c.kinds))
	})
	s.WriteString(`  esac
  if [ "$COMP_CWORD" -eq 2 ] && [ -n "$kinds" ] && [[ $current != -* ]]; then
    COMPREPLY=($(compgen -W "$kinds" -- "$current"))
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
  fi
}
complete -o default -F _varve varve
`)
	return s.String()
}

// zshText leaves out what has a meaning in the descriptions of zsh.
var zshText = strings.NewReplacer("[", "(", "]", ")", "'", "’", ":", " -", `\`, "")

func zshCompletion(all []command) string {
	var s strings.Builder
	s.WriteString("#compdef varve\n# zsh completion of varve, by varve completion zsh.\n_varve() {\n  local -a entries flags\n  if (( CURRENT == 2 )); then\n    entries=(")
	describe := func(list []command) {
		for _, c := range list {
			fmt.Fprintf(&s, " '%s:%s'", c.name, zshText.Replace(c.summary))
		}
		s.WriteString(" )\n")
	}
	describe(all)
	s.WriteString("    _describe command entries\n    return\n  fi\n  case \"$words[2] $words[3]\" in\n")
	withFlags(all, func(words string, c *command) {
		fmt.Fprintf(&s, "  '%s'*)\n    entries=(", words)
		describe(c.kinds)
		s.WriteString("    flags=( '--help[show the flags]'")
		c.eachFlag(func(f *pflag.Flag, text string) {
			value := ""
			if strings.HasSuffix(text, "=") {
				value = ":" + zshText.Replace(f.Value.Type()) + ":_files"
			}
			fmt.Fprintf(&s, " \\\n      '%s[%s]%s'", text, zshText.Replace(f.Usage), value)
		})
		s.WriteString(" )\n    ;;\n")
	})
	s.WriteString(`  esac
  if (( CURRENT == 3 && $#entries )) && [[ $words[3] != -* ]]; then
    _describe kind entries
    return
  fi
  _arguments : $flags '*:file:_files'
}
compdef _varve varve
`)
	return s.String()
}

func fishCompletion(all []command) string {
	quote := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
	}
	var s strings.Builder
	s.WriteString("# fish completion of varve, by varve completion fish.\n")
	for _, c := range all {
		fmt.Fprintf(&s, "complete -c varve -n __fish_use_subcommand -f -a %s -d %s\n", c.name, quote(c.summary))
	}
	withFlags(all, func(words string, c *command) {
		condition := ""
		for i, word := range strings.Fields(words) {
			if i > 0 {
				condition += "; and "
			}
			condition += "__fish_seen_subcommand_from " + word
		}
		for _, k := range c.kinds {
			fmt.Fprintf(&s, "complete -c varve -n %s -f -a %s -d %s\n", quote(condition+"; and not __fish_seen_subcommand_from "+names(c.kinds)), k.name, quote(k.summary))
		}
		c.eachFlag(func(f *pflag.Flag, text string) {
			takes := ""
			if strings.HasSuffix(text, "=") {
				takes = " -r"
			}
			fmt.Fprintf(&s, "complete -c varve -n %s -l %s%s -d %s\n", quote(condition), f.Name, takes, quote(f.Usage))
		})
	})
	return s.String()
}
