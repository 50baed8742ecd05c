package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// tlsSection is Prometheus's tls_server_config; keys and certificates are files.
type tlsSection struct {
	CertFile    string   `yaml:"cert_file"`
	KeyFile     string   `yaml:"key_file"`
	ClientCA    string   `yaml:"client_ca_file"`
	ClientAuth  string   `yaml:"client_auth_type"`
	AllowedSANs []string `yaml:"client_allowed_sans"`
	MinVersion  string   `yaml:"min_version"`
	MaxVersion  string   `yaml:"max_version"`
	Suites      []string `yaml:"cipher_suites"`
	Curves      []string `yaml:"curve_preferences"`
	// Read for Prometheus's files; Go chooses the order by itself.
	PreferServer bool `yaml:"prefer_server_cipher_suites"`
}

// wanted reports whether the section asks for TLS.
func (t *tlsSection) wanted() bool {
	return t.CertFile != "" || t.KeyFile != "" || t.ClientCA != "" || t.ClientAuth != ""
}

// files are those that the section names.
func (t *tlsSection) files(dir string) []string {
	var list []string
	for _, path := range []string{t.CertFile, t.KeyFile, t.ClientCA} {
		if path != "" {
			list = append(list, within(dir, path))
		}
	}
	return list
}

var (
	tlsVersions = map[string]uint16{"TLS10": tls.VersionTLS10, "TLS11": tls.VersionTLS11, "TLS12": tls.VersionTLS12, "TLS13": tls.VersionTLS13}
	tlsCurves   = map[string]tls.CurveID{"CurveP256": tls.CurveP256, "CurveP384": tls.CurveP384, "CurveP521": tls.CurveP521, "X25519": tls.X25519, "X25519MLKEM768": tls.X25519MLKEM768}
	clientAuths = map[string]tls.ClientAuthType{
		"": tls.NoClientCert, "NoClientCert": tls.NoClientCert, "RequestClientCert": tls.RequestClientCert,
		"RequireAnyClientCert": tls.RequireAnyClientCert, "RequireClientCert": tls.RequireAnyClientCert,
		"VerifyClientCertIfGiven": tls.VerifyClientCertIfGiven, "RequireAndVerifyClientCert": tls.RequireAndVerifyClientCert,
	}
)

// build reads the files and returns the settings of handshakes; nil: no TLS.
func (t *tlsSection) build(dir string) (*tls.Config, error) {
	if !t.wanted() {
		return nil, nil
	}
	if t.CertFile == "" || t.KeyFile == "" {
		return nil, errors.New("tls_server_config needs cert_file and key_file")
	}
	certificate, err := tls.LoadX509KeyPair(within(dir, t.CertFile), within(dir, t.KeyFile))
	if err != nil {
		return nil, fmt.Errorf("tls_server_config: load certificate: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	err = errors.Join(t.setProtocol(c), t.setClients(c, dir))
	if err != nil {
		return nil, fmt.Errorf("tls_server_config: %w", err)
	}
	return c, nil
}

func (t *tlsSection) setProtocol(c *tls.Config) error {
	var errs []error
	for _, v := range []struct {
		text string
		into *uint16
	}{{t.MinVersion, &c.MinVersion}, {t.MaxVersion, &c.MaxVersion}} {
		version, known := tlsVersions[v.text]
		if known {
			*v.into = version
		} else if v.text != "" {
			errs = append(errs, fmt.Errorf("version %q is none of TLS10, TLS11, TLS12, TLS13", v.text))
		}
	}
	for _, name := range t.Suites {
		at := slices.IndexFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return s.Name == name })
		if at < 0 {
			errs = append(errs, fmt.Errorf("cipher suite %q is unknown or not safe", name))
			continue
		}
		c.CipherSuites = append(c.CipherSuites, tls.CipherSuites()[at].ID)
	}
	for _, name := range t.Curves {
		curve, known := tlsCurves[name]
		if !known {
			errs = append(errs, fmt.Errorf("curve %q is unknown", name))
			continue
		}
		c.CurvePreferences = append(c.CurvePreferences, curve)
	}
	return errors.Join(errs...)
}

func (t *tlsSection) setClients(c *tls.Config, dir string) error {
	kind, known := clientAuths[t.ClientAuth]
	if !known {
		return fmt.Errorf("client_auth_type %q is unknown", t.ClientAuth)
	}
	c.ClientAuth = kind
	if t.ClientCA != "" {
		if kind == tls.NoClientCert {
			return errors.New("client_ca_file without a client_auth_type")
		}
		text, err := os.ReadFile(within(dir, t.ClientCA))
		if err != nil {
			return fmt.Errorf("read client_ca_file: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("client_ca_file %s holds no certificate", t.ClientCA)
		}
	}
	if kind >= tls.VerifyClientCertIfGiven && c.ClientCAs == nil {
		return fmt.Errorf("client_auth_type %s needs client_ca_file", t.ClientAuth)
	}
	if len(t.AllowedSANs) > 0 {
		if kind != tls.RequireAndVerifyClientCert {
			return errors.New("client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
		}
		c.VerifyConnection = t.allowed
	}
	return nil
}

// allowed lets in clients with one of the names in client_allowed_sans. Unlike
// VerifyPeerCertificate it is asked for resumed sessions too.
func (t *tlsSection) allowed(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("no client certificate")
	}
	certificate := s.PeerCertificates[0]
	names := slices.Concat(certificate.DNSNames, certificate.EmailAddresses)
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	if !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(t.AllowedSANs, n) }) {
		return fmt.Errorf("none of the client certificate's names is allowed: %s", strings.Join(names, ", "))
	}
	return nil
}
