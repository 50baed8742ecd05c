package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"

	"github.com/varve-db/varve/tenant"
)

// webFile is a web configuration: the first three sections are Prometheus's.
type webFile struct {
	TLS    tlsSection        `yaml:"tls_server_config"`
	HTTP   httpSection       `yaml:"http_server_config"`
	Hashes map[string]string `yaml:"basic_auth_users"` // name: bcrypt
	Users  map[string]powers `yaml:"users"`            // what these may do
	Tokens []tokenEntry      `yaml:"tokens"`
}

type httpSection struct {
	HTTP2   bool              `yaml:"http2"` // read for Prometheus's files; the listener speaks HTTP/1.1
	Headers map[string]string `yaml:"headers"`
}

// powers are the scopes and tenants of a user or token; what is left out means all.
type powers struct {
	Scopes  []string `yaml:"scopes"`
	Tenants []string `yaml:"tenants"`
}

type tokenEntry struct {
	Name   string `yaml:"name"`
	File   string `yaml:"token_file"`
	SHA256 string `yaml:"sha256"`
	powers `yaml:",inline"`
}

// Bounds of a configuration.
const (
	entriesMax    = 10_000
	tokenBytesMin = 16
	secretMax     = 64 << 10 // bytes of a token's file
)

// headersAllowed are the headers that http_server_config may set, as Prometheus's.
var headersAllowed = map[string]bool{
	"Strict-Transport-Security": true, "X-Content-Type-Options": true, "X-Frame-Options": true,
	"X-Xss-Protection": true, "Content-Security-Policy": true, "Cache-Control": true,
}

// parse reads a web configuration, strictly.
func parse(path string, content []byte) (*webFile, error) {
	f := &webFile{}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(f); err != nil && !errors.Is(err, io.EOF) {
		text := strings.NewReplacer("yaml: ", "", "unmarshal errors:\n  ", "", " in type auth.webFile", "", " in type auth.", " in ").Replace(err.Error())
		return nil, fmt.Errorf("%s: %s", path, text)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (f *webFile) check() error {
	var errs []error
	if len(f.Hashes)+len(f.Tokens) > entriesMax {
		errs = append(errs, fmt.Errorf("%d users and tokens, the limit is %d", len(f.Hashes)+len(f.Tokens), entriesMax))
	}
	for name, hash := range f.Hashes {
		if _, err := bcrypt.Cost([]byte(hash)); err != nil || name == "" || strings.Contains(name, ":") {
			errs = append(errs, fmt.Errorf("basic_auth_users: user %q needs a name without a colon and a bcrypt hash, as htpasswd -nBC 10 makes it", name))
		}
	}
	for name, p := range f.Users {
		errs = append(errs, p.check("users: "+name))
		if _, known := f.Hashes[name]; !known {
			errs = append(errs, fmt.Errorf("users: %q is not in basic_auth_users", name))
		}
	}
	seen := map[string]bool{}
	for _, t := range f.Tokens {
		if t.Name == "" || seen[t.Name] {
			errs = append(errs, fmt.Errorf("tokens: name %q is empty or used twice", t.Name))
		}
		seen[t.Name] = true
		if (t.File == "") == (t.SHA256 == "") {
			errs = append(errs, fmt.Errorf("tokens: %s needs one of token_file and sha256", t.Name))
		}
		errs = append(errs, t.powers.check("tokens: "+t.Name))
	}
	for name := range f.HTTP.Headers {
		if !headersAllowed[canonical(name)] {
			errs = append(errs, fmt.Errorf("http_server_config: header %q cannot be set", name))
		}
	}
	return errors.Join(errs...)
}

// canonical writes a header's name as the table above does.
func canonical(name string) string {
	parts := strings.Split(strings.ToLower(name), "-")
	for i, p := range parts {
		if p != "" {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "-")
}

// check refuses lists that say nothing: left out, they would mean all.
func (p powers) check(whose string) error {
	if p.Scopes != nil && len(p.Scopes) == 0 || p.Tenants != nil && len(p.Tenants) == 0 {
		return fmt.Errorf("%s: an empty list of scopes or tenants: leave it out for all of them", whose)
	}
	if _, err := parseScopes(p.Scopes); err != nil {
		return fmt.Errorf("%s: %w", whose, err)
	}
	for _, name := range p.Tenants {
		if err := tenant.CheckName(name); err != nil {
			return fmt.Errorf("%s: %w", whose, err)
		}
	}
	return nil
}

func (p powers) identity(name string) *Identity {
	scopes, err := parseScopes(p.Scopes)
	if err != nil {
		return &Identity{Name: name} // check has refused it
	}
	return &Identity{Name: name, Scopes: scopes, Tenants: p.Tenants}
}

// digest returns the SHA-256 of a token, reading the file that holds it.
func (t *tokenEntry) digest(dir string) ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	if t.SHA256 != "" {
		if n, err := hex.Decode(sum[:], []byte(t.SHA256)); err != nil || n != len(sum) || len(t.SHA256) != 2*len(sum) {
			return sum, fmt.Errorf("tokens: %s: sha256 needs 64 hexadecimal digits", t.Name)
		}
		return sum, nil
	}
	secret, err := readSecret(within(dir, t.File))
	if err != nil {
		return sum, fmt.Errorf("tokens: %s: %w", t.Name, err)
	}
	if len(secret) < tokenBytesMin {
		return sum, fmt.Errorf("tokens: %s: the token has %d bytes, it needs %d of good randomness, as openssl rand -hex 32 makes them", t.Name, len(secret), tokenBytesMin)
	}
	return sha256.Sum256(secret), nil
}

// readSecret reads a small file without the white space around its text.
func readSecret(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, secretMax))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return bytes.TrimSpace(text), nil
}

// within makes a path that a file in dir names.
func within(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
