//go:build !cgo

package tsdb

const cgoEnabled = false
