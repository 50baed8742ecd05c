// Package auth decides who may ask the listener for what. It reads a web
// configuration in the shape of Prometheus's, with tokens, scopes and tenants
// beside it, and holds the listener's TLS settings and the users of one moment.
//
// Above: server. Below: tenant for its names, the operating system's files,
// crypto/tls, bcrypt.
// Concurrency: everything may be called together; what was read is swapped
// atomically, and a file that cannot be read leaves what was in force.
// Invariant: without an Identity nothing but Public is allowed, and secrets are
// only kept as hashes.
// Read gate.go first, then file.go and password.go.
package auth
