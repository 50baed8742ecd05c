// Package column is the sealed chunk format TSC1: columns of timestamps and
// values to bytes and back, bit for bit, without I/O and without a clock.
//
// A column of values holds at most SamplesMax samples and does not know their
// timestamps; a column of timestamps is stored once and shared by every series
// scraped at those times. A Cell is one row's worth of value columns of
// neighbouring series, each with the slice of a timestamp column it belongs to.
// docs/FORMAT-COLUMN.md (or FORMAT.md) draws every byte.
//
// The encoder decodes what it wrote and compares it bit by bit before it hands
// it out. The decoders trust nothing: every length is held against what the
// caller asked for before it is used, and damaged bytes give a CorruptError.
// Results do not depend on the processor: every product that is added to
// something is written float64(x*y), and the only fused operations are those of
// the quotient, whose result is the correctly rounded quotient anyway.
//
// Above: chunks, tsdb/block, query. Below: nothing of this project.
// Concurrency: an Encoder, Decoder, CellWriter or CellReader belongs to one
// goroutine at a time; all of them are meant to be reused.
// Read column.go first, then value.go, ints.go and stream.go (decoding), then
// encode.go, search.go, ints_encode.go and stream_encode.go (choosing and encoding), then
// times.go, cell.go, cell_writer.go and cell_reader.go; sequence.go is for rows
// that other packages lay out.
package column

//go:generate go run ./internal/gen
