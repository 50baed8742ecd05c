package column

import (
	"errors"
	"fmt"
)

// ErrCorrupt means that the bytes are not what an Encoder wrote. Errors that
// are ErrCorrupt (by errors.Is) are of type *CorruptError.
var ErrCorrupt = errors.New("corrupt column")

// CorruptError says what is wrong with the bytes, and where.
type CorruptError struct {
	Offset int // into the column, cell or timestamp column that was decoded
	What   string
}

// Error returns the message.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt column: %s at byte %d", e.What, e.Offset)
}

// Is reports whether target is ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }
