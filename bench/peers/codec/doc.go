// Package codec compares the column codec of sealed data with the codecs of two
// peers, on captured series: VictoriaMetrics' lib/encoding at full precision and
// Prometheus's XOR chunks. Bytes, time to decode, time to encode, and how many
// values come back with other bits.
//
// Its benchmarks and tests are its purpose; nothing imports it. All codecs get
// the same chunks: the series of a capture in the order in which they are
// sealed, each cut where its target has seen so many scrapes. To run it, in
// bench/peers:
//
//	go test ./codec -v                                    what is exact
//	go test ./codec -run '^$' -bench . -benchtime 200ms   all of it, ten minutes
//	go test ./codec -run '^$' -bench 'Decode/node_1s/'    one data set
//
// The names are BenchmarkDecode/<data>/<codec>/<samples per chunk>, and so for
// BenchmarkEncode. Compare the metric min-ns/sample, the processor time of the
// fastest pass: other work on the machine adds to a pass but never takes from
// it. values-ns/sample is the part of it that values take. Pin the process to
// one core (taskset -c 1), and repeat the whole command rather than raising
// -count, so that the codecs take turns.
//
// What is counted, in bytes/sample and in time:
//
//   - Varve: cells of 64 series with their heads and checksums, and each distinct
//     column of timestamps once. It is also decoded once, as a query does. The
//     metric alone-ns/sample is the time if every chunk decodes its timestamps
//     anew, which no reader does.
//   - VictoriaMetrics: values, timestamps unless they are those of the block
//     before (its own rule), and block headers, compressed as its storage does
//     it. It decodes timestamps for each block, shared or not; headers, which it
//     caches, are not decoded here.
//   - Prometheus: chunks with the length, encoding and checksum of a segment
//     file. At most 120 samples a chunk.
//
// The chunks of VictoriaMetrics are not the same samples: its decimals round
// some values, see TestExact.
//
// With a C compiler VictoriaMetrics uses C's zstd, otherwise Go's: set
// CGO_ENABLED to choose.
//
// Read capture.go first, then codec.go, then a file for each codec.
package codec
