package tenant

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
)

// A tenant's row is
//
//	T | number u32 -> version u8 1, registered i64 milliseconds, name
//
// with the time little-endian and the name up to the end.
const rowVersion = 1

func rowKey(id series.TenantID) []byte {
	return keyspace.AppendUint32([]byte{keyspace.Tenants}, uint32(id))
}

func encodeRow(name string, registered time.Time) []byte {
	out := binary.LittleEndian.AppendUint64([]byte{rowVersion}, uint64(registered.UnixMilli()))
	return append(out, name...)
}

func decodeRow(key, value []byte) (id series.TenantID, name string, registered time.Time, err error) {
	corrupt := func(what string) error { return fmt.Errorf("tenant row %x: %s: %w", key, what, kv.ErrCorrupt) }
	if len(key) == 0 || key[0] != keyspace.Tenants {
		return 0, "", registered, corrupt("not a tenant's key")
	}
	n, rest, err := keyspace.CutUint32(key[1:])
	if err != nil || len(rest) > 0 || n == 0 || n == uint32(None) {
		return 0, "", registered, corrupt("bad number")
	}
	if len(value) < 9 || value[0] != rowVersion {
		return 0, "", registered, corrupt("cut short or of an unknown version")
	}
	name = string(value[9:])
	if CheckName(name) != nil || name == Default {
		return 0, "", registered, corrupt("bad name")
	}
	return series.TenantID(n), name, time.UnixMilli(int64(binary.LittleEndian.Uint64(value[1:]))).UTC(), nil
}
