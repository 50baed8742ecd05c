//go:build !unix

package head

func mapSlab(n int) []byte { return make([]byte, n) }

func unmapSlab([]byte) {}
