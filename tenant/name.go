package tenant

import (
	"errors"
	"fmt"
	"strings"

	"github.com/varve-db/varve/series"
)

// Default is the name of the tenant of requests that name none.
const Default = "anonymous"

// None is a number that no tenant has: nothing is stored under it.
const None series.TenantID = 1<<32 - 1

// nameBytesMax bounds a name.
const nameBytesMax = 150

// CheckName tells what is wrong with a name. Names are those of Mimir and Loki.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("a tenant's name is empty")
	case len(name) > nameBytesMax:
		return fmt.Errorf("a tenant's name has %d bytes, the limit is %d", len(name), nameBytesMax)
	case name == "." || name == "..":
		return fmt.Errorf("a tenant cannot be called %q", name)
	case strings.Contains(name, "|"):
		return fmt.Errorf("%q names several tenants: ask them one by one", name)
	}
	for i := range len(name) {
		if !allowed(name[i]) {
			return fmt.Errorf("the tenant's name %q has the byte %q in it: letters, digits and !-_.*'() are allowed", name, name[i])
		}
	}
	return nil
}

func allowed(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!-_.*'()", c) >= 0
}
