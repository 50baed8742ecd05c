package keyspace

// The first byte of every key names its family, and with it the one package
// that writes there.
const (
	// Generations lists the generations that are readable: D | what follows P in
	// the keys of their rows.
	Generations byte = 'D'
	// WriteAhead holds the write batches of epochs that are not yet flushed:
	// W | epoch u64 | sequence u64.
	WriteAhead byte = 'W'
	// FlushedEpochs marks the epochs whose rows are in partitions: E | epoch u64.
	FlushedEpochs byte = 'E'
	// Partitions holds everything of a partition, contiguous:
	// P | tenant u32 | resolution u8 | window start i64 | shard u16 | generation u32 | family byte | ...
	Partitions byte = 'P'
	// MetricMetadata holds type, unit and help of metrics: M | tenant u32 | metric string.
	MetricMetadata byte = 'M'
	// Node holds the node's identity and the settings of the whole store: N | name string.
	Node byte = 'N'
	// Deletions holds the records of the deletions that were carried out: X | number u64.
	Deletions byte = 'X'
	// Tenants holds the names of tenants: T | number u32.
	Tenants byte = 'T'
	// Generic holds the rows of the generic keyspaces: K | keyspace string | key bytes.
	Generic byte = 'K'
)

// Family is one row of the table of owners.
type Family struct {
	Prefix byte
	// Owner is the package that alone writes the family, from the module's root.
	Owner string
	// Holds says what the rows are.
	Holds string
}

// Families returns the table of owners in key order.
func Families() []Family {
	return []Family{
		{Generations, "tsdb", "directory of the readable generations"},
		{FlushedEpochs, "tsdb", "marks of flushed epochs"},
		{Generic, "kv/api", "rows of the generic keyspaces"},
		{MetricMetadata, "tsdb", "type, unit and help of metrics"},
		{Node, "tsdb", "node identity and store-wide settings"},
		{Partitions, "tsdb", "series, postings, chunks and exemplars of partitions"},
		{Tenants, "tenant", "names of tenants"},
		{WriteAhead, "tsdb", "write batches of epochs that are not yet flushed"},
		{Deletions, "tsdb", "records of deletions"},
	}
}

// Owner returns the family of key, and whether there is one.
func Owner(key []byte) (Family, bool) {
	if len(key) == 0 {
		return Family{}, false
	}
	for _, f := range Families() {
		if f.Prefix == key[0] {
			return f, true
		}
	}
	return Family{}, false
}
