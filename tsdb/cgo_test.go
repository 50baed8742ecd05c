//go:build cgo

package tsdb

const cgoEnabled = true
