package server

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/varve-db/varve/retention"
)

func TestPoliciesOfTheFile(t *testing.T) {
	c, err := load("retention:\n  time: 60d\n  min-time: 7d\n  policies:\n    - {tenant: a, match: 'up', keep: 7d}\n    - {keep: forever, resolution: 1h}\n", nil, "--config.file=varve.yml")
	if err != nil {
		t.Fatal(err)
	}
	if p := policy(c); len(p.Rules) != 2 || p.Keep != 60*24*time.Hour || p.KeepMin != 7*24*time.Hour {
		t.Errorf("%+v", p)
	}
	again, err := load(c.YAML(), nil, "--config.file=varve.yml")
	if err != nil || again.Retention.Policies.YAML("") != c.Retention.Policies.YAML("") {
		t.Errorf("%v\n%s", err, c.YAML())
	}
	for text, want := range map[string]string{
		"retention.policies:\n- {keep: 0}\n":                                 "varve.yml:2: keep: 0 keeps nothing",
		"retention:\n  policies:\n  - {keep: 1d}\n  - {keep: 2d}\n":          "varve.yml:4: contradicts the retention policy of line 3",
		"retention:\n  policies: 7d\n":                                       "varve.yml:2: retention policies must be a list",
		"retention:\n  policies:\n  - {keep: 1d}\n  - {keep: 1d, kep: 2d}\n": "unknown key",
		"retention: {time: 7d, min-time: 8d}\n":                              "retention.min-time is 8d",
	} {
		if _, err := load(text, nil, "--config.file=varve.yml"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestDryRunAndReload(t *testing.T) {
	var own Config
	n := startFull(t, t.TempDir(), func(c *Config, o *Options) {
		own = *c
		o.Reload = func() (Config, error) {
			list, err := retention.ParseText([]byte("[{match: b, keep: 3h}]"))
			own.Retention.Policies = &list
			return own, err
		}
	})
	n.write("/api/v1/write", writeRequest(t, "a", noon, 100)).want(t, "write", 204, "")
	const path = "/api/v1/admin/retention/dry_run"
	n.do("POST", path, "").want(t, "no policies", 200, `"policies":[{"resolution":"any","keep":"90d","partitions":0`)
	n.do("POST", path, "[{match: a, keep: 7d}]").want(t, "others", 200, `"match":["a"],"resolution":"any","keep":"1w"`)
	n.do("POST", path, "[{match: a, keep: 0}]").want(t, "refused", 400, "policies:1: keep: 0 keeps nothing")
	n.do("GET", path, "").want(t, "by GET", 405, "")
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	n.do("POST", path, "").want(t, "after a reload", 200, `"match":["b"],"resolution":"any","keep":"3h"`)
}

func TestReportForAPerson(t *testing.T) {
	const report = `{"asOf":"2030-01-02T03:04:05Z","policies":[{"tenant":"a","match":["up"],"resolution":"raw","keep":"1w","partitions":1,"series":2,"samples":3,"bytesEstimated":2048},{"resolution":"any","keep":"forever","partitions":0,"series":0,"samples":0,"bytesEstimated":0}],"size":{"limit":1024,"partitions":2,"bytes":4096}}`
	var out bytes.Buffer
	if err := WriteRetention(&out, []byte(report), false); err != nil {
		t.Fatal(err)
	}
	want := `as of 2030-01-02T03:04:05Z

keep     tenant  resolution  match         partitions  series  samples  bytes (estimated)
1w       a       raw         up            1           2       3        2.0 KiB
forever          any         (all others)  0           0       0        0 B

above 1.0 KiB: 2 partitions, 4.0 KiB
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}
