package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/spf13/pflag"
)

// load runs Load over a file system that holds varve.yml.
func load(file string, env []string, args ...string) (Config, error) {
	files := fstest.MapFS{"varve.yml": {Data: []byte(file)}}
	return Load(Sources{Args: args, Env: env, ReadFile: func(path string) ([]byte, error) { return fs.ReadFile(files, path) }})
}

func TestDefaultsAreValidAndAsDocumented(t *testing.T) {
	c := Defaults()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Storage.Path != "./data" || c.HTTP.Listen != "127.0.0.1:7480" || c.Retention.Time != 90*24*time.Hour ||
		c.Storage.Sync.Interval != 0 || !c.Storage.Memory.Auto || c.Query.SamplesMax != 50e6 || c.Web.CORSOrigin != ".*" ||
		c.Web.EnableAdminAPI || c.Web.EnableLifecycle || c.Web.EnablePprof || c.SelfScrape.Interval != 15*time.Second {
		t.Errorf("defaults changed: %v", c.Values())
	}
	seen := map[string]bool{}
	for _, s := range Settings() {
		if seen[s.Name] || s.Help == "" || !strings.HasSuffix(s.Help, ".") {
			t.Errorf("setting %q is listed twice or not explained in a sentence", s.Name)
		}
		seen[s.Name] = true
	}
	// Every default survives the way from text to field and back.
	again := Defaults()
	for _, s := range Settings() {
		if err := s.bind(&again).Set(c.Values()[s.Name]); err != nil {
			t.Errorf("%s: its own text is refused: %v", s.Name, err)
		}
	}
	if again != c {
		t.Errorf("round trip: got %v, want %v", again, c)
	}
}

func TestPrecedence(t *testing.T) {
	file := "storage:\n  path: /from/file\nretention.time: 30d\nlog: {level: warn}\n"
	const fileEnv = "VARVE_CONFIG_FILE=varve.yml"
	cases := []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"default", nil, nil, "./data"},
		{"file by flag", nil, []string{"--config.file=varve.yml"}, "/from/file"},
		{"file by environment", []string{fileEnv}, nil, "/from/file"},
		{"environment over file", []string{fileEnv, "VARVE_STORAGE_PATH=/from/env"}, nil, "/from/env"},
		{"flag over environment", []string{fileEnv, "VARVE_STORAGE_PATH=/from/env"}, []string{"--storage.path=/from/flag"}, "/from/flag"},
		{"flag over file", []string{fileEnv}, []string{"--storage.path", "/from/flag"}, "/from/flag"},
		{"other variables are not ours", []string{"PATH=/bin", "VARVE=1"}, nil, "./data"},
		{"service links of Kubernetes are not ours", []string{"VARVE_SERVICE_HOST=10.0.0.1", "VARVE_PORT=tcp://10.0.0.1:7480", "VARVE_PORT_7480_TCP_ADDR=10.0.0.1", "VARVE_WRITE_SERVICE_PORT_HTTP=7480"}, nil, "./data"},
	}
	for _, c := range cases {
		got, err := load(file, c.env, c.args...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Storage.Path != c.want {
			t.Errorf("%s: storage.path is %q, want %q", c.name, got.Storage.Path, c.want)
		}
	}
	got, err := load(file, []string{fileEnv})
	if err != nil || got.Retention.Time != 30*24*time.Hour || got.Log.Level != slog.LevelWarn || got.File != "varve.yml" {
		t.Errorf("got %v, %v", got.Values(), err)
	}
}

func TestEveryWayOfSayingIt(t *testing.T) {
	// Each setting can be said by flag, by environment and in the file, nested
	// as deep as its dots go, and all of them mean the same.
	other := map[string]string{
		"bool": "true", "number": "77", "duration": "3h", "size": "5MiB", "size or auto": "512MiB",
		"fsync or interval": "interval:250ms", "durations or none": "5m,1h", "level": "debug", "text or json": "json", "text": "/x",
	}
	special := map[string]string{
		"http.listen": "127.0.0.1:1", "storage.epoch-age": "1h", "retention.time": "3d", "http.shutdown-timeout": "7s", "query.queue-wait": "7s", "ingest.max-wait": "7s",
		"ingest.max-body-bytes": "6MiB", "ingest.max-decoded-bytes": "900MiB", "http.read-header-timeout": "9s", "otlp.translation-strategy": "NoTranslation",
		"query.max-source-resolution": "1h",
	}
	for _, s := range Settings() {
		text, ok := special[s.Name]
		if !ok {
			text = other[s.Type()]
		}
		parts := strings.Split(s.Name, ".")
		yaml := ""
		for i, p := range parts {
			yaml += strings.Repeat("  ", i) + p + ":"
			if i < len(parts)-1 {
				yaml += "\n"
			}
		}
		yaml += " " + text + "\n"
		flag, err1 := load("", nil, "--"+s.Name+"="+text)
		env, err2 := load("", []string{EnvName(s.Name) + "=" + text})
		file, err3 := load(yaml, nil, "--config.file=varve.yml")
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		file.File = ""
		if flag != env || flag != file || flag == Defaults() {
			t.Errorf("%s=%s: flag, environment and file differ or do nothing", s.Name, text)
		}
	}
}

func TestYAMLReadsBack(t *testing.T) {
	want := Defaults()
	want.Storage.Path, want.Retention.Size, want.Web.EnablePprof = "/x: y #", 3<<30, true
	got, err := load(want.YAML(), nil, "--config.file=varve.yml")
	got.File = ""
	if err != nil || got != want {
		t.Errorf("got %v, %v", got.Values(), err)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	const withFile = "--config.file=varve.yml"
	cases := []struct {
		name, file string
		env, args  []string
		want       []string
	}{
		{"unknown key", "storage:\n  path: x\n  pth: y\n", nil, []string{withFile}, []string{`varve.yml:3: unknown setting "storage.pth" (did you mean storage.path?)`}},
		{"unknown section", "\n\nstorrage:\n  path: x\n", nil, []string{withFile}, []string{`varve.yml:3: unknown setting "storrage"`}},
		{"several mistakes at once", "a: 1\nlog:\n  b: 2\n", nil, []string{withFile}, []string{`varve.yml:1: unknown setting "a"`, `varve.yml:3: unknown setting "log.b"`}},
		{"twice", "storage:\n  path: x\nstorage.path: y\n", nil, []string{withFile}, []string{`varve.yml:3: setting "storage.path" is set twice, first at varve.yml:2`}},
		{"list", "storage:\n  path: [a, b]\n", nil, []string{withFile}, []string{`varve.yml:2: setting "storage.path" must have one value`}},
		{"no value", "storage:\n  path:\n", nil, []string{withFile}, []string{`must have one value`}},
		{"section as text", "storage: 5\n", nil, []string{withFile}, []string{`varve.yml:1: section "storage" must be a mapping`}},
		{"not a mapping", "- a\n", nil, []string{withFile}, []string{`varve.yml:1: the file must be a mapping`}},
		{"broken file", "a: [\n", nil, []string{withFile}, []string{`varve.yml: line 1: `}},
		{"alias", "storage: &s {path: x}\nlog: *s\n", nil, []string{withFile}, []string{`varve.yml:2: aliases`}},
		{"the file in the file", "config.file: x\n", nil, []string{withFile}, []string{`cannot be set in the file`}},
		{"bad value in the file", "log:\n  level: loud\n", nil, []string{withFile}, []string{`varve.yml:2: log.level: "loud" is not one of debug`}},
		{"no such file", "", nil, []string{"--config.file=none.yml"}, []string{"read the configuration file", "none.yml"}},
		{"unknown variable", "", []string{"VARVE_STORAGE_PAHT=x"}, nil, []string{"VARVE_STORAGE_PAHT is not a setting (did you mean VARVE_STORAGE_PATH?)"}},
		{"bad variable", "", []string{"VARVE_RETENTION_TIME=ninety"}, nil, []string{`VARVE_RETENTION_TIME: "ninety" is not a duration`}},
		{"unknown flag", "", nil, []string{"--storage.pth=x"}, []string{"unknown flag: --storage.pth (did you mean storage.path?)"}},
		{"bad flag", "", nil, []string{"--query.max-samples=-1"}, []string{"--query.max-samples: \"-1\" is not a whole number"}},
		{"argument", "", nil, []string{"./data"}, []string{`unexpected argument "./data"`}},
		{"retention under a partition", "", nil, []string{"--retention.time=1h"}, []string{"retention.time is 1h, shorter than one partition"}},
		{"partition width", "", nil, []string{"--storage.partition-width=1h"}, []string{"storage.partition-width is 1h: use 2h to 31d"}},
		{"partitions that do not meet", "", nil, []string{"--storage.partition-width=5h"}, []string{"use a divisor of a day"}},
		{"address", "", nil, []string{"--http.listen=7480"}, []string{`http.listen is "7480": write it as host:port`}},
		{"port", "", nil, []string{"--http.listen=:http"}, []string{"the port must be a number"}},
		{"origin", "", nil, []string{"--web.cors-origin=("}, []string{"web.cors-origin is not a regular expression"}},
		{"prefix", "", nil, []string{"--web.route-prefix=varve/"}, []string{"write it as /path"}},
		{"memory", "", nil, []string{"--storage.memory=1MB"}, []string{"storage.memory is 1MiB: use at least 64MiB, or auto"}},
		{"two bad values", "", nil, []string{"--query.timeout=0", "--ingest.max-labels=0"}, []string{"query.timeout is 0s", "ingest.max-labels is 0"}},
	}
	for _, c := range cases {
		_, err := load(c.file, c.env, c.args...)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got error %v, want it to say %q", c.name, err, want)
			}
		}
	}
}

func TestHelp(t *testing.T) {
	if _, err := load("", nil, "--help"); !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	usage := Flags().FlagUsages()
	for _, s := range Settings() {
		if !strings.Contains(usage, "--"+s.Name) {
			t.Errorf("help does not list --%s", s.Name)
		}
	}
	if c, err := load("", nil, "--web.enable-pprof"); err != nil || !c.Web.EnablePprof {
		t.Errorf("a bool flag needs no value: %v", err)
	}
}

func TestSizes(t *testing.T) {
	cases := map[string]uint64{
		"0": 0, "17": 17, "64MB": 64 << 20, "1GiB": 1 << 30, "1.5GiB": 3 << 29, "2kb": 2048, "3K": 0, "1 TiB": 1 << 40, "512B": 512,
	}
	for text, want := range cases {
		got, err := parseSize(text)
		if text == "3K" {
			if err == nil {
				t.Errorf("%q was taken as %d", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
		if back, err := parseSize(formatSize(got)); err != nil || back != got {
			t.Errorf("%q: %s reads back as %d, %v", text, formatSize(got), back, err)
		}
	}
	for _, text := range []string{"", "MB", "-1", "1XB", "1e3", "0x10", "NaN", "Inf", "9999999EiB", "1MBMB", "1ib"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q was taken as %d", text, got)
		}
	}
}

func FuzzParseYAML(f *testing.F) {
	for _, seed := range []string{"", "a: 1", "storage:\n  path: x\n", "storage: {path: x}\nlog.level: info", "- 1", "&a [*a]", "? {a: b}\n: c", "storage: *x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := parseYAML("f.yml", content)
		if err != nil {
			return
		}
		known := map[string]bool{}
		for _, s := range Settings() {
			known[s.Name] = true
		}
		for name, v := range got {
			if !known[name] || !strings.HasPrefix(v.where, "f.yml:") {
				t.Fatalf("%q from %q", name, v.where)
			}
		}
	})
}

func FuzzSettings(f *testing.F) {
	for _, seed := range []string{"", "auto", "fsync", "interval:100ms", "90d", "64MB", "true", "info", "1_000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range Settings() {
			var c Config
			if s.bind(&c).Set(text) != nil {
				continue
			}
			var again Config
			if err := s.bind(&again).Set(s.bind(&c).String()); err != nil || fmt.Sprint(again) != fmt.Sprint(c) {
				t.Fatalf("%s=%q does not survive a round trip: %v", s.Name, text, err)
			}
		}
	})
}
