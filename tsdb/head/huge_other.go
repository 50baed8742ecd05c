//go:build unix && !linux

package head

func preferHuge([]byte) {}
