package api

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/kv/keyspace"
)

const (
	pathPrefix      = "/kv/v1/"
	nameBytesMax    = 128
	keyBytesMax     = 4 << 10
	nameAlphabetDoc = "1 to 128 bytes of a-z, A-Z, 0-9, '.', '_' and '-'"
)

// target is what a path names: a keyspace, or a key in it.
type target struct {
	// prefix is what all rows of the keyspace begin with: K | keyspace string.
	prefix []byte
	key    []byte
	hasKey bool
}

// row returns the row key of key: K | keyspace string | key bytes.
func (t target) row(key []byte) []byte {
	return append(bytes.Clone(t.prefix), key...)
}

// parseTarget reads a path as it was sent: decoding it first would mix up the
// slashes of the path with those of the key.
func parseTarget(path []byte) (target, error) {
	rest, ok := bytes.CutPrefix(path, []byte(pathPrefix))
	if !ok {
		return target{}, refuse(fasthttp.StatusNotFound, "not_found", "paths begin with %s{keyspace}", pathPrefix)
	}
	name, rawKey, hasKey := bytes.Cut(rest, []byte{'/'})
	if err := checkName(string(name)); err != nil {
		return target{}, err
	}
	t := target{prefix: keyspace.AppendString([]byte{keyspace.Generic}, name), hasKey: hasKey}
	if !hasKey {
		return t, nil
	}
	var err error
	if t.key, err = unescape(rawKey); err != nil {
		return target{}, err
	}
	return t, checkKey(t.key)
}

func checkName(name string) error {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if len(name) == 0 || len(name) > nameBytesMax || strings.Trim(name, alphabet) != "" {
		return badRequest("%q is no name for a keyspace: it has %s", clip(name), nameAlphabetDoc)
	}
	return nil
}

func checkKey(key []byte) error {
	if len(key) == 0 {
		return badRequest("the key is empty")
	}
	if len(key) > keyBytesMax {
		return badRequest("the key has %d bytes, more than %d", len(key), keyBytesMax)
	}
	return nil
}

// unescape decodes %XX; every other byte stands for itself.
func unescape(s []byte) ([]byte, error) {
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			decoded = append(decoded, s[i])
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			return nil, badRequest("the key has a %% that no two hexadecimal digits follow, at byte %d", i)
		}
		decoded = append(decoded, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
		i += 2
	}
	return decoded, nil
}

func unhex(c byte) int {
	return strings.IndexByte("0123456789abcdef", c|0x20) // sets the case bit; digits have it
}

// escape writes key so that it can stand in a path or a query.
func escape(key []byte) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range key {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

// clip shortens text that comes from a client, for messages.
func clip(s string) string {
	const shown = 200
	if len(s) > shown {
		return s[:shown] + "..."
	}
	return s
}
