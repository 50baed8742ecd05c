package main

import (
	"github.com/spf13/pflag"

	"github.com/varve-db/varve/internal/connect"
)

// bindReach makes flags of how a server is reached.
func bindReach(set *pflag.FlagSet, o *connect.Options) {
	set.StringVar(&o.TokenFile, "auth.token-file", "", "file with a bearer token for the server")
	set.StringVar(&o.User, "auth.user", "", "name for the server")
	set.StringVar(&o.PasswordFile, "auth.password-file", "", "file with the password that goes with the name")
	set.StringVar(&o.CAFile, "tls.ca-file", "", "certificates that the server's is judged by (default: the machine's)")
	set.StringVar(&o.CertFile, "tls.cert-file", "", "certificate of this client")
	set.StringVar(&o.KeyFile, "tls.key-file", "", "key of that certificate")
	set.StringVar(&o.Tenant, "tenant", "", "tenant, sent as X-Scope-OrgID")
}
