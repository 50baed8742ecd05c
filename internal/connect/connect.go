// Package connect makes HTTP clients from what a command is told about a server:
// credentials, certificates and a tenant, all of them in files, so that no secret
// is seen in a list of processes.
//
// Above: cmd/varve. Below: net/http.
// Concurrency: the clients may be used together; Options belong to one command.
// Read connect.go.
package connect

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
)

// Options are how a server is reached. The zero value sends no credentials.
type Options struct {
	TokenFile    string
	User         string
	PasswordFile string
	CAFile       string // of the server's certificate; default: the machine's
	CertFile     string // of the client
	KeyFile      string
	Tenant       string
}

// Headers returns what every request carries.
func (o *Options) Headers() (http.Header, error) {
	h := http.Header{}
	if o.TokenFile != "" && o.User != "" {
		return nil, errors.New("a token and a user: give one of them")
	}
	if (o.User == "") != (o.PasswordFile == "") {
		return nil, errors.New("a user and a password file go together")
	}
	switch {
	case o.TokenFile != "":
		token, err := readSecret(o.TokenFile)
		if err != nil {
			return nil, err
		}
		h.Set("Authorization", "Bearer "+token)
	case o.User != "":
		password, err := readSecret(o.PasswordFile)
		if err != nil {
			return nil, err
		}
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(o.User+":"+password)))
	}
	if o.Tenant != "" {
		h.Set("X-Scope-OrgID", o.Tenant)
	}
	return h, nil
}

// TLS returns the settings of handshakes; nil where the defaults do.
func (o *Options) TLS() (*tls.Config, error) {
	if o.CAFile == "" && o.CertFile == "" && o.KeyFile == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		text, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read certificates: %s holds none", o.CAFile)
		}
	}
	if o.CertFile != "" || o.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Client returns a client whose requests carry the headers, with connections that
// it keeps for the next one, as many as that to a server.
func (o *Options) Client(connections int) (*http.Client, error) {
	headers, err := o.Headers()
	if err != nil {
		return nil, err
	}
	secure, err := o.TLS()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig, transport.MaxIdleConnsPerHost = secure, max(connections, 1)
	if len(headers) == 0 {
		return &http.Client{Transport: transport}, nil
	}
	return &http.Client{
		Transport: signed{headers, transport},
		// A redirect might lead to a server that must not see the credentials.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// signed adds headers to requests.
type signed struct {
	headers http.Header
	next    http.RoundTripper
}

// RoundTrip implements http.RoundTripper. A header that a request has stays.
func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range s.headers {
		if len(r.Header[name]) == 0 {
			r.Header[name] = values
		}
	}
	return s.next.RoundTrip(r)
}

func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := bytes.TrimSpace(text)
	if len(secret) == 0 || bytes.ContainsAny(secret, "\r\n") {
		return "", fmt.Errorf("read secret: %s must hold one line", path)
	}
	return string(secret), nil
}
