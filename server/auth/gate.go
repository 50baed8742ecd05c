package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The ways in which credentials fail.
var (
	// ErrMissing means that a request came without credentials.
	ErrMissing = errors.New("credentials are needed: a bearer token, or a name and a password")
	// ErrWrong means that its credentials are not known.
	ErrWrong = errors.New("the credentials are wrong")
	// ErrBusy means that they were not looked at: too many others were tried.
	ErrBusy = errors.New("too many passwords were tried, come again in a moment")
)

// Options tune a Gate. The zero value works.
type Options struct {
	Log *slog.Logger
	Now func() time.Time
}

// Gate tells who calls.
type Gate struct {
	path      string // empty: there is no file
	log       *slog.Logger
	now       func() time.Time
	passwords *passwords
	current   atomic.Pointer[state]

	looked atomic.Int64 // when files were looked at last, in nanoseconds
	mu     sync.Mutex   // held while files are read
	stamps map[string]stamp
}

// state is what one reading of the files says.
type state struct {
	tls     *tls.Config
	headers map[string]string
	hashes  map[string]string // bcrypt, by user
	users   map[string]*Identity
	tokens  map[[sha256.Size]byte]*Identity
	files   []string
}

// stamp tells one version of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// Open reads the web configuration in path. An empty path lets everybody in.
func Open(path string, o Options) (*Gate, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Gate{path: path, log: o.Log, now: o.Now, passwords: newPasswords(o.Now)}
	g.current.Store(&state{})
	if path == "" {
		return g, nil
	}
	return g, g.Reload()
}

// Reload reads the files again. What was in force stays when they are wrong.
func (g *Gate) Reload() error {
	if g.path == "" {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reloadLocked()
}

func (g *Gate) reloadLocked() error {
	before := g.current.Load()
	stamps := stampsOf(append([]string{g.path}, before.files...))
	next, err := read(g.path)
	if err != nil {
		g.stamps = stamps // until one of them changes there is no use in trying again
		return fmt.Errorf("read the web configuration: %w", err)
	}
	g.stamps = stampsOf(append([]string{g.path}, next.files...))
	if before.hashes != nil && (before.tls == nil) != (next.tls == nil) {
		g.log.Warn("TLS was turned on or off, a restart is needed for it", "file", g.path)
		next.tls = before.tls
	}
	g.current.Store(next)
	return nil
}

func read(path string) (*state, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := parse(path, content)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	s := &state{
		headers: map[string]string{}, hashes: map[string]string{}, users: map[string]*Identity{},
		tokens: map[[sha256.Size]byte]*Identity{}, files: f.TLS.files(dir),
	}
	if s.tls, err = f.TLS.build(dir); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for name, value := range f.HTTP.Headers {
		s.headers[canonical(name)] = value
	}
	for name, hash := range f.Hashes {
		s.hashes[name], s.users[name] = hash, f.Users[name].identity(name)
	}
	for i := range f.Tokens {
		t := &f.Tokens[i]
		sum, err := t.digest(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if twin := s.tokens[sum]; twin != nil {
			return nil, fmt.Errorf("%s: tokens: %s and %s are the same token", path, twin.Name, t.Name)
		}
		s.tokens[sum] = t.identity(t.Name)
		if t.File != "" {
			s.files = append(s.files, within(dir, t.File))
		}
	}
	return s, nil
}

func stampsOf(files []string) map[string]stamp {
	stamps := map[string]stamp{}
	for _, path := range files {
		if info, err := os.Stat(path); err == nil {
			stamps[path] = stamp{info.ModTime(), info.Size()}
		} else {
			stamps[path] = stamp{}
		}
	}
	return stamps
}

// lookEvery is how often files are looked at for changes, at most.
const lookEvery = time.Second

// refresh reads the files again if one of them has changed.
func (g *Gate) refresh() {
	if g.path == "" {
		return
	}
	now, last := g.now().UnixNano(), g.looked.Load()
	if now-last < int64(lookEvery) || !g.looked.CompareAndSwap(last, now) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	changed := false
	for path, before := range g.stamps {
		info, err := os.Stat(path)
		changed = changed || err != nil && before != stamp{} ||
			err == nil && (info.ModTime() != before.modified || info.Size() != before.size)
	}
	if !changed {
		return
	}
	if err := g.reloadLocked(); err != nil {
		g.log.Error("changed web configuration cannot be used, the former one stays in force", "err", err)
		return
	}
	g.log.Info("web configuration read again", "file", g.path)
}

// Guarded reports whether callers have to show who they are, by credentials or
// by a client certificate.
func (g *Gate) Guarded() bool {
	s := g.current.Load()
	return s.closed() || s.tls != nil && s.tls.ClientAuth >= tls.RequireAnyClientCert
}

func (s *state) closed() bool { return len(s.hashes)+len(s.tokens) > 0 }

// Headers are what answers carry by the configuration, by canonical name; an
// empty value takes a header away.
func (g *Gate) Headers() map[string]string { return g.current.Load().headers }

// TLS returns the settings of a listener, whose handshakes follow changes of the
// files; nil: there is no TLS.
func (g *Gate) TLS() *tls.Config {
	if g.current.Load().tls == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			g.refresh()
			return g.current.Load().tls, nil
		},
	}
}

// Identify tells who sent an Authorization header from an address. A failure
// is one of the errors above, and the identity then may do what is public.
func (g *Gate) Identify(authorization []byte, from netip.Addr) (*Identity, error) {
	g.refresh()
	s := g.current.Load()
	if !s.closed() {
		return anybody, nil
	}
	scheme, rest, _ := bytes.Cut(bytes.TrimSpace(authorization), []byte(" "))
	rest = bytes.TrimSpace(rest)
	switch strings.ToLower(string(scheme)) {
	case "":
		return nobody, ErrMissing
	case "bearer", "token": // the second is what clients of InfluxDB send
		if who := s.tokens[sha256.Sum256(rest)]; who != nil {
			return who, nil
		}
		return nobody, ErrWrong
	case "basic":
		return g.basic(s, rest, from)
	}
	return nobody, ErrWrong
}

// basic checks a name and a password.
func (g *Gate) basic(s *state, encoded []byte, from netip.Addr) (*Identity, error) {
	plain, err := base64.StdEncoding.DecodeString(string(encoded))
	if err != nil {
		return nobody, ErrWrong
	}
	name, password, _ := strings.Cut(string(plain), ":")
	if len(s.hashes) == 0 {
		return nobody, ErrWrong
	}
	switch g.passwords.check(name, password, s.hashes[name], from) {
	case right:
		return s.users[name], nil
	case busy:
		return nobody, ErrBusy
	}
	return nobody, ErrWrong
}

// Challenges are what WWW-Authenticate says, one header each.
func (g *Gate) Challenges() []string {
	s := g.current.Load()
	var list []string
	if len(s.hashes) > 0 {
		list = append(list, `Basic realm="varve", charset="UTF-8"`)
	}
	if len(s.tokens) > 0 {
		list = append(list, `Bearer realm="varve"`)
	}
	return list
}
