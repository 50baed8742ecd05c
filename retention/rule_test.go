package retention

import (
	"strings"
	"testing"
	"time"
)

func TestRulesAreRead(t *testing.T) {
	const text = `
- {tenant: team-a, match: ['{env="dev"}', 'debug_info'], keep: 7d}
- {resolution: 1h, keep: forever}
- match: '{__name__=~"debug_.*"}'
  resolution: raw
  keep: 12h
`
	list, err := ParseText([]byte(text))
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	if r := list[0]; r.Tenant != "team-a" || r.Resolution != Any || r.Keep != 7*day || len(r.Selectors) != 2 {
		t.Errorf("%+v", r)
	}
	if r := list[1]; r.Tenant != "" || r.Resolution != Windows1h || r.Keep != 0 || r.Selectors != nil {
		t.Errorf("%+v", r)
	}
	again, err := ParseText([]byte(list.YAML("  ")))
	if err != nil || again.YAML("") != list.YAML("") || !again[0].About("team-a", Raw) || again[0].About("team-b", Raw) {
		t.Errorf("%v\n%s", err, again.YAML(""))
	}
	if none, err := ParseText(nil); none != nil || err != nil {
		t.Error(none, err)
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`keep: 7d`, "policies:1: retention policies must be a list"},
		{`[7d]`, "policies:1: a retention policy must be a mapping"},
		{`- {match: 'up'}`, "policies:1: a retention policy without keep"},
		{`- {keep: 0}`, "policies:1: keep: 0 keeps nothing"},
		{`- {keep: 5m}`, "keeps next to nothing"},
		{`- {keep: -1h}`, "neither a duration"},
		{`- {keep: always}`, "neither a duration"},
		{`- {keep: 1d, keep: 2d}`, `"keep" twice`},
		{`- {keep: [1d]}`, `"keep" must have one value`},
		{`- {keep: 1d, kepp: 2d}`, `unknown key "kepp"`},
		{`- {keep: 1d, resolution: 7m}`, `"7m" is no resolution`},
		{`- {keep: 1d, tenant: 'a/b'}`, "policies:1: tenant:"},
		{`- {keep: 1d, match: []}`, "match selects no series"},
		{`- {keep: 1d, match: [{a: b}]}`, "match must be a list of selectors"},
		{`- {keep: 1d, match: '{a="b"'}`, "match: "},
		{`- {keep: 1d, match: '{a="b",a!="b"}'}`, "exclude each other"},
		{`- {keep: 1d, match: '{a="b",a=~"c|d"}'}`, "exclude each other"},
		{"- {keep: 1d}\n- {keep: 2d}", "policies:2: contradicts the retention policy of line 1, which is about the same series and keeps them 1d"},
		{"- {keep: 1d, match: 'up'}\n- {keep: 2d, match: 'up'}", "policies:2: contradicts"},
		{"- {keep: 1d}\n- {keep: 1d}", "policies:2: this retention policy is never reached"},
		{"- {keep: 1d}\n- {tenant: a, keep: 2d}", "never reached: the one of line 1"},
		{"- {keep: 1d, match: '{env=\"dev\"}'}\n- {keep: 2d, resolution: raw, match: 'up{env=\"dev\"}'}", "never reached"},
		{"- {keep: 1d, match: '{env=~\"d.*\"}'}\n- {keep: 2d, match: '{env=\"dev\"}'}", "never reached"},
		{"- {keep: 1d, match: ['a', 'b', 'c']}\n- {keep: 2d, match: ['b', 'a{x=\"y\"}']}", "never reached"},
		{strings.Repeat("- {keep: 1d}\n", rulesMax+1), "the limit is 256"},
		{"- {keep: 1d", "policies"},
	} {
		if list, err := ParseText([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) && c.want != "policies" {
			t.Errorf("%s: got %v, %v, want %q", c.text, list, err, c.want)
		}
	}
	for _, text := range []string{
		"- {keep: 1d, tenant: a}\n- {keep: 2d}",
		"- {keep: 1d, resolution: raw}\n- {keep: 2d, resolution: 5m}\n- {keep: 3d}",
		"- {keep: 1d, match: 'up{a=\"b\"}'}\n- {keep: 2d, match: 'up'}",
		"- {keep: 1d, match: ['a']}\n- {keep: 2d, match: ['b', 'a']}",
		"- {keep: 1d, match: '{a!=\"b\"}'}\n- {keep: 2d, match: '{a=~\"b|c\"}'}",
	} {
		if _, err := ParseText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add("- {tenant: team-a, match: ['{env=\"dev\"}', 'debug_info'], keep: 7d}\n- {resolution: 1h, keep: forever}\n")
	f.Add("- keep: 1h\n  match: up\n  resolution: raw\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseText([]byte(text))
		if err != nil {
			return
		}
		again, err := ParseText([]byte(list.YAML("")))
		if err != nil || again.YAML("") != list.YAML("") {
			t.Errorf("%q comes back as %q: %v", list.YAML(""), again.YAML(""), err)
		}
	})
}

func rules(t *testing.T, text string) Rules {
	t.Helper()
	list, err := ParseText([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRulesDecideByTenantAndResolution(t *testing.T) {
	policy := Policy{Keep: 90 * day, Rules: rules(t, `
- {tenant: a, match: '{env="dev"}', keep: 7d}
- {tenant: a, keep: 30d}
- {tenant: b, match: '{env="dev"}', keep: 200d}
- {resolution: 1h, keep: forever}
- {resolution: 5m, keep: 365d}
`)}
	for _, c := range []struct {
		tenant     string
		resolution Resolution
		want       time.Duration
	}{
		{"a", Raw, 30 * day}, {"a", Windows1h, 30 * day}, {"b", Raw, 200 * day}, {"b", Windows1h, 0},
		{"c", Raw, 90 * day}, {"c", Windows5m, 365 * day}, {"c", Windows1h, 0},
	} {
		if got := policy.longest(c.tenant, c.resolution); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.tenant, c.resolution, got, c.want)
		}
	}
	if policy.longestOfAll() != 0 {
		t.Error("windows of an hour are kept for ever")
	}
	var parts []Partition
	for _, tenant := range []string{"a", "b", "c"} {
		for _, resolution := range []Resolution{Raw, Windows5m, Windows1h} {
			p := window(0, 100)
			p.Tenant, p.Resolution = tenant, resolution
			parts = append(parts, p)
		}
	}
	for _, c := range []struct{ days, want int }{{30, 0}, {31, 3}, {91, 4}, {201, 5}, {366, 7}, {10000, 7}} {
		if got := Expired(parts, policy, epoch.Add(time.Duration(c.days)*day)); len(got) != c.want {
			t.Errorf("day %d: %v, want %d", c.days, got, c.want)
		}
	}
}

// TestMonthsOfRules lets a year pass by two tenants.
func TestMonthsOfRules(t *testing.T) {
	w := &world{wall: epoch}
	j := w.job(Policy{Keep: 60 * day, Rules: rules(t, "- {tenant: a, keep: 10d}\n- {tenant: b, match: 'up', keep: 100d}")})
	for n := range 365 {
		for _, tenant := range []string{"a", "b", "c"} {
			p := window(n, 100)
			p.Tenant = tenant
			w.parts = append(w.parts, p)
		}
		for range 4 {
			w.step(t, j)
			w.pass(6 * time.Hour)
		}
		have := map[string]int{}
		for _, p := range w.parts {
			have[p.Tenant]++
		}
		for tenant, keep := range map[string]int{"a": 10, "b": 100, "c": 60} {
			if want := min(n+1, keep+1); have[tenant] != want {
				t.Fatalf("day %d: tenant %s has %d partitions, want %d", n, tenant, have[tenant], want)
			}
		}
	}
	if len(w.calls) == 0 || !w.believed.Equal(j.Believed()) || j.Believed().Before(epoch.Add(364*day)) {
		t.Errorf("nothing was ever as old as anything is kept: %v, %s", w.calls, j.Believed())
	}
}

func TestClockJumpDoesNotErase(t *testing.T) {
	w := &world{wall: epoch.Add(60 * day)}
	w.fill(0, 60)
	lone := window(3000, 1) // somebody wrote with a wrong time
	w.parts = append(w.parts, lone)
	w.wall = w.wall.Add(2900 * day) // and the clock is wrong as well
	j := w.job(Policy{Keep: 90 * day, Rules: rules(t, "- {match: 'up', keep: 7d}")})
	for range 20 {
		w.step(t, j)
		w.pass(time.Hour)
	}
	if len(w.calls)+len(w.drops) != 0 || w.believed.After(epoch.Add(63*day)) {
		t.Errorf("dropped %v %v, believed %s", w.calls, w.drops, w.believed)
	}
}

func TestFloorOfTheSize(t *testing.T) {
	w := &world{wall: epoch.Add(10 * day)}
	w.fill(0, 10)
	j := w.job(Policy{BytesMax: 250, KeepMin: 5 * day})
	for range 3 {
		w.step(t, j)
	}
	if len(w.parts) != 5 || strings.Count(w.log.String(), "none is old enough to go") != 1 {
		t.Errorf("%d partitions\n%s", len(w.parts), w.log.String())
	}
	w.pass(3 * day)
	w.step(t, j)
	if len(w.parts) != 2 {
		t.Errorf("%d partitions, want 2", len(w.parts))
	}
}
