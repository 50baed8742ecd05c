package auth

import (
	"fmt"
	"strings"
)

// Scope is what a route asks of its callers.
type Scope uint8

// The scopes. The zero value is no scope: nobody has it.
const (
	// Public needs no credentials.
	Public Scope = 1 << iota
	// Read asks: queries, series, federation, the node's own metrics.
	Read
	// Write stores: every door for samples, and changes of keyspaces.
	Write
	// Admin operates the node: flushes, snapshots, reloads, profiles.
	Admin
)

// all is what a user has whose entry names no scopes.
const all = Read | Write | Admin

var scopeNames = []struct {
	scope Scope
	name  string
}{{Public, "public"}, {Read, "read"}, {Write, "write"}, {Admin, "admin"}}

// String returns the scopes' names.
func (s Scope) String() string {
	var names []string
	for _, n := range scopeNames {
		if s&n.scope != 0 {
			names = append(names, n.name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

// parseScopes reads the names in an entry; none at all means all.
func parseScopes(names []string) (Scope, error) {
	if len(names) == 0 {
		return all, nil
	}
	var s Scope
	for _, name := range names {
		switch name {
		case "read":
			s |= Read
		case "write":
			s |= Write
		case "admin":
			s |= Admin
		default:
			return 0, fmt.Errorf("scope %q is none of read, write, admin", name)
		}
	}
	return s, nil
}

// Identity is who calls, and what it may do.
type Identity struct {
	// Name is the user's or the token's; empty for anybody.
	Name   string
	Scopes Scope
	// Tenants are the only ones that it may name; nil: all.
	Tenants []string
}

// anybody calls where the configuration names no users and no tokens.
var anybody = &Identity{Scopes: all}

// nobody calls without credentials.
var nobody = &Identity{}

// May reports whether the identity has scope.
func (i *Identity) May(scope Scope) bool {
	return scope == Public || i.Scopes&scope != 0
}
