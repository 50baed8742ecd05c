// Package transfer moves stored samples into a server and out of it: from the
// data folder of a Prometheus, a remote read address, a VictoriaMetrics, or files;
// and into a file of JSON lines.
//
// Promise: what Import reports as written the server has confirmed, and what is
// missing from that is told with its reason. Sending again is harmless, so a part
// that was interrupted is sent anew as a whole. Memory is bounded by the requests
// in flight; the head of a Prometheus is the exception, it is read as Prometheus
// reads it.
//
// Above: cmd/varve. Below: ingest's formats and series/jsonl, which know how lines
// and requests are written, and Prometheus's own reader of its blocks.
// Concurrency: an Import has one goroutine that reads and some that send; a Source
// belongs to one Import at a time.
// Read import.go first, then send.go; each source has a file of its own, and
// export.go is the way out.
package transfer
