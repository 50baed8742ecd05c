package kv

// Batch collects writes for one Apply, in order. It refers to the caller's
// bytes without copying them: they must stay unchanged until Apply has returned.
type Batch struct{ ops []Op }

// Op is one write of a batch.
type Op struct {
	Kind OpKind
	// Key is the key, or the first key of a range.
	Key []byte
	// Value is the value of a set, or the end (exclusive) of a deleted range.
	Value []byte
}

// OpKind says what an Op does.
type OpKind uint8

// The kinds of write.
const (
	OpSet OpKind = iota
	OpDelete
	OpDeleteRange
)

// Set writes value under key.
func (b *Batch) Set(key, value []byte) { b.ops = append(b.ops, Op{OpSet, key, value}) }

// Delete removes key; it need not exist.
func (b *Batch) Delete(key []byte) { b.ops = append(b.ops, Op{OpDelete, key, nil}) }

// DeleteRange removes the keys in [lower, upper).
func (b *Batch) DeleteRange(lower, upper []byte) {
	b.ops = append(b.ops, Op{OpDeleteRange, lower, upper})
}

// Ops returns the writes in order.
func (b *Batch) Ops() []Op { return b.ops }

// Reset empties b and keeps its memory.
func (b *Batch) Reset() {
	clear(b.ops)
	b.ops = b.ops[:0]
}
