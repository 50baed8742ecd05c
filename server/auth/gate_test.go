package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const token = "3f1c9a0d7be84e5f90"

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

func newClock() *clock { return &clock{at: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)} }

func hashOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// folder writes files, in pairs of name and text, and returns the first's path.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

func open(t *testing.T, c *clock, files ...string) *Gate {
	t.Helper()
	g, err := Open(folder(t, files...), Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

var here = netip.MustParseAddr("192.0.2.1")

func TestIdentify(t *testing.T) {
	g := open(t, newClock(), "web.yml", fmt.Sprintf(`
basic_auth_users:
  alice: %s
  bob: %s
users:
  bob: {scopes: [read], tenants: [team-b, team-c]}
tokens:
  - {name: agent, token_file: agent.token, scopes: [write], tenants: [team-a]}
  - {name: operator, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
`, hashOf(t, "wonder"), hashOf(t, "builder")), "agent.token", " "+token+"\n")
	cases := []struct {
		header, name string
		scopes       Scope
		tenants      int
		err          error
	}{
		{"", "", 0, 0, ErrMissing},
		{basic("alice", "wonder"), "alice", Read | Write | Admin, 0, nil},
		{strings.Replace(basic("alice", "wonder"), "Basic", "bAsIc", 1), "alice", Read | Write | Admin, 0, nil},
		{basic("alice", "builder"), "", 0, 0, ErrWrong},
		{basic("alice", ""), "", 0, 0, ErrWrong},
		{basic("nobody", "wonder"), "", 0, 0, ErrWrong},
		{basic("bob", "builder"), "bob", Read, 2, nil},
		{"Basic ?", "", 0, 0, ErrWrong},
		{"Bearer " + token, "agent", Write, 1, nil},
		{"Token " + token, "agent", Write, 1, nil},
		{"Bearer test", "operator", Read | Write | Admin, 0, nil},
		{"Bearer " + token + "x", "", 0, 0, ErrWrong},
		{"Bearer", "", 0, 0, ErrWrong},
		{"Digest x", "", 0, 0, ErrWrong},
	}
	for range 2 { // the second time from what is remembered
		for _, c := range cases {
			who, err := g.Identify([]byte(c.header), here)
			if !errors.Is(err, c.err) || who.Name != c.name || who.Scopes != c.scopes || len(who.Tenants) != c.tenants {
				t.Errorf("%q: got %+v, %v", c.header, who, err)
			}
			if err != nil && (who.May(Read) || who.May(Write) || who.May(Admin) || !who.May(Public)) {
				t.Errorf("%q: a failure may do something", c.header)
			}
		}
	}
	if got := fmt.Sprint(g.Challenges()); got != `[Basic realm="varve", charset="UTF-8" Bearer realm="varve"]` || !g.Guarded() {
		t.Errorf("challenges %s", got)
	}
}

func TestWithoutConfigurationAnybodyMayDoAnything(t *testing.T) {
	g, err := Open("", Options{})
	if err != nil {
		t.Fatal(err)
	}
	who, err := g.Identify(nil, netip.Addr{})
	if err != nil || !who.May(Read) || !who.May(Write) || !who.May(Admin) || g.Guarded() || g.TLS() != nil {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestPasswordsCostIsBounded(t *testing.T) {
	c := newClock()
	g := open(t, c, "web.yml", "basic_auth_users: {alice: "+hashOf(t, "wonder")+"}")
	if who, err := g.Identify([]byte(basic("alice", "wonder")), here); err != nil || who.Name != "alice" {
		t.Fatal(err)
	}
	tries := map[error]int{}
	for i := range 50 {
		_, err := g.Identify([]byte(basic("alice", fmt.Sprint("guess", i))), here)
		tries[err]++
	}
	if tries[ErrWrong] != triesMax-1 || tries[ErrBusy] != 50-triesMax+1 {
		t.Errorf("guesses: %v", tries)
	}
	// What is known to be right costs nothing, what is known to be wrong neither.
	for range 100 {
		if _, err := g.Identify([]byte(basic("alice", "wonder")), here); err != nil {
			t.Fatalf("a guesser locks the user out: %v", err)
		}
		if _, err := g.Identify([]byte(basic("alice", "guess0")), here); !errors.Is(err, ErrWrong) {
			t.Fatal(err)
		}
	}
	if _, err := g.Identify([]byte(basic("alice", "another")), netip.MustParseAddr("192.0.2.2")); !errors.Is(err, ErrWrong) {
		t.Errorf("another address is held responsible: %v", err)
	}
	if _, err := g.Identify([]byte(basic("alice", "more")), netip.MustParseAddr("::ffff:192.0.2.1")); !errors.Is(err, ErrBusy) {
		t.Errorf("the address in another notation: %v", err)
	}
	c.advance(2 * triesEvery)
	if _, err := g.Identify([]byte(basic("alice", "later")), here); !errors.Is(err, ErrWrong) {
		t.Errorf("after a while: %v", err)
	}
}

func TestMemoryOfAttemptsIsBounded(t *testing.T) {
	c := newClock()
	p := newPasswords(c.now)
	for i := range 3 * verdictsMax {
		p.remember(wrong, p.key("alice", fmt.Sprint(i), "hash"))
	}
	p.remember(right, p.key("alice", "wonder", "hash"))
	if len(p.verdicts[wrong]) != verdictsMax || len(p.verdicts[right]) != 1 {
		t.Errorf("%d and %d verdicts", len(p.verdicts[wrong]), len(p.verdicts[right]))
	}
	refused := 0
	for i := range 3 * addressesMax {
		p.mu.Lock()
		if !p.takeLocked(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})) {
			refused++
		}
		p.mu.Unlock()
	}
	if len(p.tries) > addressesMax+1 || refused != 2*addressesMax-triesMax {
		t.Errorf("%d addresses, %d refused", len(p.tries), refused)
	}
	c.advance(time.Hour)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.takeLocked(netip.MustParseAddr("2001:db8::1")) || len(p.tries) > 2 {
		t.Errorf("%d addresses are still remembered", len(p.tries))
	}
	if network(netip.MustParseAddr("2001:db8::1")) != network(netip.MustParseAddr("2001:db8::2")) {
		t.Error("two addresses of one IPv6 network are told apart")
	}
}

func TestKeysOfPairsDiffer(t *testing.T) {
	p := newPasswords(time.Now)
	seen := map[[32]byte]string{}
	for _, pair := range [][3]string{{"a", "bc", "h"}, {"ab", "c", "h"}, {"a", "b", "ch"}, {"", "abc", "h"}, {"a\x00", "b", "h"}, {"a", "\x00b", "h"}} {
		key := p.key(pair[0], pair[1], pair[2])
		if twin, twice := seen[key]; twice {
			t.Errorf("%q and %q have one key", pair, twin)
		}
		seen[key] = fmt.Sprint(pair)
	}
}

func TestChangedFilesAreReadAgain(t *testing.T) {
	c := newClock()
	path := folder(t, "web.yml", "tokens: [{name: agent, token_file: agent.token}]", "agent.token", token)
	g, err := Open(path, Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	who := func(token string) string {
		i, _ := g.Identify([]byte("Bearer "+token), here)
		return i.Name
	}
	if who(token) != "agent" {
		t.Fatal("the token is not known")
	}
	const renewed = "another-token-of-the-agent"
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("agent.token", renewed)
	if who(token) != "agent" {
		t.Error("files are looked at more often than once a second")
	}
	c.advance(lookEvery)
	if who(renewed) != "agent" || who(token) != "" {
		t.Error("a renewed token is not in force")
	}
	write("web.yml", "tokens: [{nam: agent}]")
	c.advance(lookEvery)
	if who(renewed) != "agent" {
		t.Error("a broken file undid what was in force")
	}
	if err := g.Reload(); err == nil || !strings.Contains(err.Error(), "field nam not found") {
		t.Errorf("reload of a broken file: %v", err)
	}
	write("web.yml", "tokens: [{name: a-new-name, token_file: agent.token}]")
	c.advance(lookEvery)
	if who(renewed) != "a-new-name" {
		t.Error("a mended file is not in force")
	}
}

func TestMistakesAreNamed(t *testing.T) {
	hash := hashOf(t, "x")
	cases := []struct{ name, text, want string }{
		{"not YAML", "a: [", "web.yml"},
		{"unknown section", "basic_auth_user: {}", "line 1: field basic_auth_user not found"},
		{"no hash", "basic_auth_users: {a: secret}", `user "a" needs a name without a colon and a bcrypt hash`},
		{"user with colon", `basic_auth_users: {"a:b": ` + hash + `}`, `"a:b"`},
		{"rights of nobody", "users: {a: {scopes: [read]}}", `"a" is not in basic_auth_users`},
		{"unknown scope", "basic_auth_users: {a: " + hash + "}\nusers: {a: {scopes: [root]}}", `scope "root" is none of read, write, admin`},
		{"no scopes", "basic_auth_users: {a: " + hash + "}\nusers: {a: {scopes: []}}", "users: a: an empty list"},
		{"no tenants", "tokens: [{name: a, token_file: web.yml, tenants: []}]", "tokens: a: an empty list"},
		{"no tenant's name", "tokens: [{name: a, token_file: web.yml, tenants: [a/b]}]", "has the byte '/' in it"},
		{"nameless token", "tokens: [{sha256: aa}]", "empty or used twice"},
		{"twice", "tokens: [{name: a, sha256: aa}, {name: a, sha256: bb}]", "empty or used twice"},
		{"without secret", "tokens: [{name: a}]", "needs one of token_file and sha256"},
		{"both", "tokens: [{name: a, sha256: aa, token_file: b}]", "needs one of token_file and sha256"},
		{"short digest", "tokens: [{name: a, sha256: aa}]", "64 hexadecimal digits"},
		{"missing file", "tokens: [{name: a, token_file: no.such}]", "no.such"},
		{"short token", "tokens: [{name: a, token_file: web.yml}]", "ok"},
		{"header", "http_server_config: {headers: {Set-Cookie: x}}", "cannot be set"},
		{"no key", "tls_server_config: {cert_file: a}", "needs cert_file and key_file"},
		{"no certificate", "tls_server_config: {cert_file: a, key_file: b}", "load certificate"},
	}
	for _, c := range cases {
		_, err := Open(folder(t, "web.yml", c.text), Options{})
		if c.want == "ok" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Open(folder(t, "web.yml", "tokens: [{name: a, token_file: t}]", "t", "short"), Options{}); err == nil || !strings.Contains(err.Error(), "the token has 5 bytes") {
		t.Errorf("short token: %v", err)
	}
	if _, err := Open(folder(t, "web.yml", "tokens: [{name: a, token_file: t}, {name: b, token_file: t}]", "t", token), Options{}); err == nil || !strings.Contains(err.Error(), "a and b are the same token") {
		t.Errorf("same token: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("basic_auth_users: {a: $2a$10$09Ss/mXqaw94M28Dy8SmMuomoNtrSpBjOyEmMUOw035IVWu.wnCSe}\nusers: {a: {scopes: [read], tenants: [x]}}"))
	f.Add([]byte("tokens: [{name: a, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, scopes: [write]}]"))
	f.Add([]byte("tls_server_config: {cert_file: a, key_file: b, min_version: TLS13}\nhttp_server_config: {http2: true, headers: {x-frame-options: DENY}}"))
	f.Add([]byte("tokens: [{name: &a x, token_file: *a}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := parse("web.yml", text)
		if err != nil {
			return
		}
		for _, e := range file.Tokens {
			if i := e.identity(e.Name); i.Scopes == 0 || i.May(Public|Read|Write|Admin) && i.Scopes&^all != 0 {
				t.Errorf("token %q was accepted with scopes %s", e.Name, i.Scopes)
			}
		}
	})
}

func BenchmarkIdentifyPassword(b *testing.B) {
	hash, err := bcrypt.GenerateFromPassword([]byte("wonder"), bcrypt.DefaultCost)
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "web.yml")
	if err := os.WriteFile(path, []byte("basic_auth_users: {alice: "+string(hash)+"}"), 0o600); err != nil {
		b.Fatal(err)
	}
	g, err := Open(path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	header := []byte(basic("alice", "wonder"))
	for b.Loop() {
		if _, err := g.Identify(header, here); err != nil {
			b.Fatal(err)
		}
	}
}
