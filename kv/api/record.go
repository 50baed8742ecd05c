package api

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/varve-db/varve/kv"
)

// recordVersion is the first byte of the records that this version writes.
const recordVersion = 1

const recordHeaderBytes = 1 + 8 + 8

// record is the value of a row.
type record struct {
	// expires is in milliseconds since 1970; 0 means never.
	expires int64
	// version grows with every write of the key. It begins at the clock's
	// microseconds, so that a key which is written again after a deletion does
	// not repeat one.
	version uint64
	payload []byte
}

// appendRecord appends r as it is stored, numbers big-endian:
//
//	0   u8   1, the layout's version
//	1   i64  expiry, milliseconds since 1970, 0 for none
//	9   u64  version of the value
//	17  ...  payload
func appendRecord(dst []byte, r record) []byte {
	dst = append(dst, recordVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.expires))
	dst = binary.BigEndian.AppendUint64(dst, r.version)
	return append(dst, r.payload...)
}

// decodeRecord reads a stored record; the payload refers to b.
func decodeRecord(b []byte) (record, error) {
	if len(b) < recordHeaderBytes {
		return record{}, fmt.Errorf("decode keyspace record: %d bytes: %w", len(b), kv.ErrCorrupt)
	}
	if b[0] != recordVersion {
		return record{}, fmt.Errorf("decode keyspace record: version %d: %w", b[0], kv.ErrCorrupt)
	}
	r := record{
		expires: int64(binary.BigEndian.Uint64(b[1:])),
		version: binary.BigEndian.Uint64(b[9:]),
		payload: b[recordHeaderBytes:],
	}
	if r.expires < 0 {
		return record{}, fmt.Errorf("decode keyspace record: expiry %d: %w", r.expires, kv.ErrCorrupt)
	}
	return r, nil
}

func (r record) expired(now time.Time) bool {
	return r.expires != 0 && r.expires <= now.UnixMilli()
}

// etag is the entity tag of r's value, with its quotes. The payload's hash makes
// it strong even if a version came twice.
func (r record) etag() string {
	return fmt.Sprintf("\"%x-%x\"", r.version, xxh3.Hash(r.payload))
}

// expiry is r's expiry as text.
func (r record) expiry() string {
	return time.UnixMilli(r.expires).UTC().Format("2006-01-02T15:04:05.000Z")
}

// next is the record that replaces r, or follows nothing if r is nil.
func (r *record) next(payload []byte, expires int64, now time.Time) record {
	version := uint64(max(now.UnixMicro(), 1))
	if r != nil {
		version = max(version, r.version+1)
	}
	return record{expires: expires, version: version, payload: payload}
}
