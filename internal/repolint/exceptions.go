package main

// exceptions lists what may break a size rule, and why. The list only shrinks:
// an entry that is no longer needed is itself a finding.
var exceptions = []exception{
	{ruleInterface, "kv.Iterator", "the shared contract of every engine: a cursor with its error and its end"},
	{ruleParameters, "ingest/scrape.(transaction).Append", "Prometheus's interface"},
	{ruleParameters, "tsdb/tsdbtest.(appender).Append", "Prometheus's interface"},
	{ruleStruct, "query.Options", "every limit of a query, and Prometheus's own switches"},
}
