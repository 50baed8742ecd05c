package fields

import (
	"encoding/binary"
	"math"
	"testing"
)

func TestReader(t *testing.T) {
	row := []byte{7}
	row = binary.AppendUvarint(row, 300)
	row = binary.AppendVarint(row, -300)
	row = binary.LittleEndian.AppendUint64(row, math.Float64bits(1.5))
	row = append(binary.AppendUvarint(row, 2), "ab"...)
	r := New(row)
	if b, u, v, f := r.Byte(), r.Uvarint(), r.Varint(), r.Float(); b != 7 || u != 300 || v != -300 || f != 1.5 {
		t.Fatal(b, u, v, f)
	}
	if n := r.Count(1); n != 2 || string(r.Rest()) != "ab" || string(r.Take(2)) != "ab" || r.Len() != 0 || r.At() != len(row) || r.Bad() {
		t.Fatalf("%d, %+v", n, r)
	}
}

// FuzzReader reads fields of arbitrary kinds from arbitrary bytes: never beyond
// the end, and nothing but zeros after a failure.
func FuzzReader(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{0, 1, 2, 3, 4, 5})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, []byte{1, 5})
	f.Fuzz(func(t *testing.T, row, kinds []byte) {
		r := New(row)
		for _, kind := range kinds {
			failed := r.Bad()
			var zero bool
			switch kind % 6 {
			case 0:
				zero = r.Byte() == 0
			case 1:
				zero = r.Uvarint() == 0
			case 2:
				zero = r.Varint() == 0
			case 3:
				zero = r.Float() == 0
			case 4:
				zero = len(r.Take(uint64(kind))) == 0
			case 5:
				n := r.Count(2)
				if zero = n == 0; n*2 > r.Len() {
					t.Fatalf("%d elements in %d bytes", n, r.Len())
				}
			}
			if failed && (!zero || r.Len() != 0 || !r.Bad()) {
				t.Fatalf("after a failure: kind %d, %+v", kind%6, r)
			}
		}
		if r.At() > len(row) {
			t.Fatalf("at %d of %d", r.At(), len(row))
		}
	})
}
