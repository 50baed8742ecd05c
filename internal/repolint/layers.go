package main

// layer places a package and its children (unless they have a row of their
// own) in the table. A package imports lower rows. Inside one top folder it
// also imports its own row, up to its own step: children come first.
type layer struct {
	path string
	row  int
	step int
	may  []string // when set, nothing else of the module may be imported
	// tests of every package may import it, as a source of test data.
	tests bool
}

// layers is the table of the house style.
var layers = []layer{
	{path: "e2e", row: 7},
	{path: "cmd", row: 6, may: []string{"server", "bench", "transfer", "internal"}},
	{path: "server", row: 5},
	{path: "transfer", row: 5},
	// The load generator sits beside the server and knows only its wire formats.
	{path: "bench", row: 5, may: []string{"series", "ingest/remotewrite", "internal"}, tests: true},

	{path: "ingest", row: 4, step: 2},
	{path: "ingest/remotewrite", row: 4, step: 1},
	{path: "ingest/relabel", row: 4, step: 1},
	{path: "ingest/scrape", row: 4, step: 1},
	{path: "ingest/otlp", row: 4, step: 1},
	{path: "ingest/influx", row: 4, step: 1},
	{path: "ingest/text", row: 4, step: 1},
	{path: "query/promql", row: 4, step: 1},
	{path: "query/plan", row: 4, step: 2},
	{path: "query/exec", row: 4, step: 3},
	{path: "query/cache", row: 4, step: 4},
	{path: "query/ledger", row: 4, step: 4},
	{path: "query", row: 4, step: 5},
	{path: "query/api", row: 4, step: 6},
	{path: "retention", row: 4},
	{path: "backup", row: 4},
	{path: "downsample", row: 4},
	{path: "web", row: 4},

	{path: "tsdb/head", row: 3, step: 1},
	{path: "tsdb/block", row: 3, step: 1},
	{path: "tsdb", row: 3, step: 2},
	{path: "tsdb/tsdbtest", row: 3, step: 3, tests: true},

	{path: "index", row: 2},
	{path: "tenant", row: 2},
	{path: "cluster/route", row: 2},
	{path: "cluster/strong", row: 2},
	{path: "cluster/eventual", row: 2},

	{path: "kv", row: 1, step: 1}, // the contract
	{path: "kv/keyspace", row: 1, step: 2},
	{path: "kv/memkv", row: 1, step: 3},
	{path: "kv/pebblekv", row: 1, step: 3},
	{path: "kv/kvtest", row: 1, step: 3},
	{path: "kv/txn", row: 1, step: 4},
	{path: "kv/blob", row: 1, step: 5},
	{path: "kv/collections", row: 1, step: 5},
	{path: "kv/document", row: 1, step: 5},
	{path: "kv/pubsub", row: 1, step: 5},
	{path: "kv/api", row: 1, step: 6},
	{path: "chunks/column", row: 1, step: 1},
	{path: "chunks", row: 1, step: 1},
	{path: "chunks/window", row: 1, step: 2},
	{path: "cluster/wire", row: 1, step: 1},
	{path: "cluster", row: 1, step: 2},

	{path: "series", row: 0},
	{path: "internal", row: 0},
}

// guard keeps a package, of this module or another, to those who may know it.
type guard struct {
	path  string   // import path; a module-relative one for our own packages
	users []string // module-relative packages, with their children
	tests bool     // whether any test file may import it
	why   string
}

// reserved lists the packages that only some may know.
var reserved = []guard{
	{path: "kv/pebblekv", users: []string{"server", "kv/pebblekv"}, tests: true,
		why: "only server knows which engine is behind kv.Store"},
	{path: "tsdb/tsdbtest", tests: true, why: "it is storage for test scripts"},
	{path: "kv/kvtest", tests: true, why: "the conformance suite is for tests"},
	{path: "github.com/cockroachdb/pebble/v2", users: []string{"kv/pebblekv", "internal/fault"}, tests: true,
		why: "kv/pebblekv alone speaks to Pebble; others ask kv for a capability"},
	{path: "github.com/spf13/pflag", users: []string{"cmd", "server"},
		why: "cmd has the flags, and server.Load reads those that it is given"},
	{path: "flag", users: []string{"cmd"}, tests: true,
		why: "below cmd there are no global flags"},
}
