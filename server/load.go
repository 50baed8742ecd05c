package server

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Sources are the places in which Load finds settings.
type Sources struct {
	// Args are the command line without the program and the command.
	Args []string
	// Env is the environment, as os.Environ returns it.
	Env []string
	// ReadFile reads the configuration file.
	ReadFile func(path string) ([]byte, error)
}

// Load builds a Config: a flag wins over the environment, the environment over
// the file, the file over the default. Names that no setting has are errors
// wherever they stand. pflag.ErrHelp is returned when help was asked for.
func Load(from Sources) (Config, error) {
	flags := map[string]string{}
	set := newFlagSet(flags)
	if err := set.Parse(from.Args); err != nil {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			err = fmt.Errorf("%w%s", err, suggest(unknown.GetSpecifiedName(), settingNames()))
		}
		return Config{}, err
	}
	if set.NArg() > 0 {
		return Config{}, fmt.Errorf("unexpected argument %q: settings are written as --name=value", set.Arg(0))
	}
	env, err := readEnv(from.Env)
	if err != nil {
		return Config{}, err
	}
	var c Config
	c.File = env[fileSetting]
	if path, ok := flags[fileSetting]; ok {
		c.File = path
	}
	file := map[string]located{}
	if c.File != "" {
		text, err := from.ReadFile(c.File)
		if err != nil {
			return Config{}, fmt.Errorf("read the configuration file: %w", err)
		}
		if file, err = parseYAML(c.File, text); err != nil {
			return Config{}, err
		}
		if err = c.Scrape.parseSections(c.File, text); err != nil {
			return Config{}, err
		}
		if c.Retention.Policies, err = parsePolicies(c.File, text); err != nil {
			return Config{}, err
		}
		if c.Limits, err = parseLimits(c.File, text); err != nil {
			return Config{}, err
		}
	}
	if err := c.fill(flags, env, file); err != nil {
		return Config{}, err
	}
	c.Scrape.Jobs.LimitBodies(c.Ingest.DecodedBytesMax)
	return c, c.Validate()
}

// Defaults returns the Config of a node that is told nothing.
func Defaults() Config {
	var c Config
	if err := c.fill(nil, nil, nil); err != nil {
		panic(fmt.Sprintf("a default in the table of settings is wrong: %v", err))
	}
	return c
}

// fill gives every setting the text of the first source that has it.
func (c *Config) fill(flags, env map[string]string, file map[string]located) error {
	var errs []error
	for _, s := range Settings() {
		text, origin := s.Default, "default of "+s.Name
		if v, ok := file[s.Name]; ok {
			text, origin = v.text, v.where+": "+s.Name
		}
		if v, ok := env[s.Name]; ok {
			text, origin = v, EnvName(s.Name)
		}
		if v, ok := flags[s.Name]; ok {
			text, origin = v, "--"+s.Name
		}
		if err := s.bind(c).Set(text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", origin, err))
		}
	}
	return errors.Join(errs...)
}

// Flags returns a set with the flag of every setting, for help and completion.
func Flags() *pflag.FlagSet { return newFlagSet(map[string]string{}) }

func newFlagSet(got map[string]string) *pflag.FlagSet {
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() {}
	set.Var(&flagText{name: fileSetting, kind: "path", got: got}, fileSetting, fileHelp)
	for _, s := range Settings() {
		v := &flagText{name: s.Name, kind: s.Type(), fallback: s.Default, got: got}
		set.Var(v, s.Name, s.Help)
		if s.Type() == "bool" {
			set.Lookup(s.Name).NoOptDefVal = "true"
		}
	}
	return set
}

// flagText keeps a flag's text until the sources are merged.
type flagText struct {
	name, kind, fallback string
	got                  map[string]string
}

func (f *flagText) Set(text string) error { f.got[f.name] = text; return nil }
func (f *flagText) String() string        { return f.fallback }
func (f *flagText) Type() string          { return f.kind }

// serviceLink matches the variables that Kubernetes sets in every container
// for a service whose name begins with "varve": they are no settings.
var serviceLink = regexp.MustCompile(`^VARVE_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

func readEnv(env []string) (map[string]string, error) {
	known := map[string]string{EnvName(fileSetting): fileSetting}
	for _, s := range Settings() {
		known[EnvName(s.Name)] = s.Name
	}
	got := map[string]string{}
	var errs []error
	for _, e := range env {
		name, text, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, envPrefix) || serviceLink.MatchString(name) {
			continue
		}
		setting, ok := known[name]
		if !ok {
			errs = append(errs, fmt.Errorf("environment variable %s is not a setting%s", name, suggest(name, keys(known))))
			continue
		}
		got[setting] = text
	}
	return got, errors.Join(errs...)
}

func settingNames() []string {
	names := []string{fileSetting}
	for _, s := range Settings() {
		names = append(names, s.Name)
	}
	return names
}

func keys(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// suggest names the candidate that is nearest to name, if one is near.
func suggest(name string, candidates []string) string {
	best, bestDistance := "", 4
	for _, c := range candidates {
		if d := distance(name, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// distance is the number of insertions, deletions and replacements between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
