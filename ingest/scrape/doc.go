// Package scrape fetches samples from the targets that a configuration file
// names, as Prometheus does and with its scraper: the same file, the same target
// labels, the same series beside the scraped ones (up, scrape_...), the same
// stale markers.
//
// Promise: what one scrape brings is stored whole, by one Append, or not at all;
// a stale marker never comes before a sample that its series has already. A
// change of the configuration restarts only the jobs that it changes.
//
// Above: server, which reads the file and wires the storage. Below: Prometheus's
// scrape and discovery, series for the batch; the storage is an Appender to
// write to and a Queryable to look for newer samples in.
// Concurrency: the methods of a Scraper may be called together. Run has the one
// goroutine that starts, changes and stops the session; each target has one of
// its own, whose transaction nobody else sees.
// Read scraper.go first, then transaction.go and late.go.
package scrape
