package tsdb

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/common/model"

	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
)

// Limits of metadata. What is beyond them is not kept; it describes, and no
// sample depends on it.
const (
	metadataMetricsMax = 200_000 // a tenant
	metadataTextMax    = 4096    // bytes of a help text or a unit
)

// metadataTable is the metadata of all tenants, in memory and in rows
// M | tenant | metric -> version u8 1, type, unit, help (length-prefixed each).
type metadataTable struct {
	mu      sync.RWMutex
	tenants map[series.TenantID]map[string]series.Metadata
}

const metadataVersion = 1

func metadataKey(tenant series.TenantID, metric string) []byte {
	return keyspace.AppendString(keyspace.AppendUint32([]byte{keyspace.MetricMetadata}, uint32(tenant)), metric)
}

func encodeMetadata(m series.Metadata) []byte {
	out := []byte{metadataVersion}
	for _, text := range []string{string(m.Type), m.Unit, m.Help} {
		out = appendText(out, text)
	}
	return out
}

func decodeMetadata(key, value []byte) (series.TenantID, series.Metadata, error) {
	var m series.Metadata
	corrupt := fmt.Errorf("metadata row %q: %w", key, errCorruptRecord)
	if len(key) == 0 || len(value) == 0 || value[0] != metadataVersion {
		return 0, m, corrupt
	}
	tenant, rest, err := keyspace.CutUint32(key[1:])
	if err != nil {
		return 0, m, corrupt
	}
	if m.Metric, rest, err = keyspace.CutString(rest); err != nil || len(rest) > 0 {
		return 0, m, corrupt
	}
	b := value[1:]
	var texts [3]string
	for i := range texts {
		text, after, ok := series.CutString(b)
		if !ok {
			return 0, m, corrupt
		}
		texts[i], b = string(text), after
	}
	if len(b) > 0 {
		return 0, m, corrupt
	}
	m.Type, m.Unit, m.Help = model.MetricType(texts[0]), texts[1], texts[2]
	return series.TenantID(tenant), m, nil
}

// changes returns the entries of list that differ from what is known.
func (t *metadataTable) changes(tenant series.TenantID, list []series.Metadata) []series.Metadata {
	if len(list) == 0 {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	var changed []series.Metadata
	known := t.tenants[tenant]
	for _, m := range list {
		m.Unit, m.Help = clip(m.Unit), clip(m.Help)
		if i := slices.IndexFunc(changed, func(c series.Metadata) bool { return c.Metric == m.Metric }); i >= 0 {
			changed[i] = m // the last word counts, be it what is known already
			continue
		}
		old, ok := known[m.Metric]
		if m.Metric == "" || ok && old == m || !ok && len(known)+len(changed) >= metadataMetricsMax {
			continue
		}
		changed = append(changed, m)
	}
	return changed
}

func clip(s string) string {
	if len(s) > metadataTextMax {
		return s[:metadataTextMax]
	}
	return s
}

func (t *metadataTable) set(tenant series.TenantID, list []series.Metadata) {
	if len(list) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tenants == nil {
		t.tenants = map[series.TenantID]map[string]series.Metadata{}
	}
	known := t.tenants[tenant]
	if known == nil {
		known = map[string]series.Metadata{}
		t.tenants[tenant] = known
	}
	for _, m := range list {
		known[m.Metric] = m
	}
}

// Metadata returns what is known of the tenant's metrics, ordered by name: of
// all, or of the one called metric if it is not empty; at most limit if that is
// above 0.
func (db *DB) Metadata(tenant series.TenantID, metric string, limit int) []series.Metadata {
	t := &db.metadata
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []series.Metadata
	if metric != "" {
		if m, ok := t.tenants[tenant][metric]; ok {
			out = append(out, m)
		}
		return out
	}
	for _, m := range t.tenants[tenant] {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b series.Metadata) int { return strings.Compare(a.Metric, b.Metric) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
