package block

import (
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/kv/keyspace"
	"github.com/varve-db/varve/series"
)

// Groups are the series of a sealed generation by the values of some labels, as
// its postings tell.
type Groups struct {
	// Of is the group of each series, an index into Labels. The labels of a group
	// are those of the wanted ones that its series have.
	Of     []uint32
	Labels []series.Labels

	metrics []ordinalRun // ascending, one metric each
	bounds  ordinalSet   // series with an le
}

// Groups finds the groups by labels with the names, ascending and distinct. ok is
// false where that is not the way to go: one of the labels has more values than
// valuesMax, or the numbers of the series do not tell the order of label sets.
func (r *Reader) Groups(names []string, valuesMax int) (_ *Groups, ok bool, err error) {
	it, err := r.store.Scan(r.key(familyPostings), r.key(familyPostings+1))
	if err != nil {
		return nil, false, err
	}
	defer it.Close()
	b := groupsBuilder{
		Groups: Groups{Of: make([]uint32, r.ordinals), Labels: make([]series.Labels, 1), bounds: newOrdinalSet(r.ordinals)},
		m:      matching{reader: r, it: it}, left: valuesMax,
	}
	if ordered, err := b.order(); err != nil || !ordered {
		return nil, false, err
	}
	err = b.values("le", func(_ []byte, row []byte) error { return b.bounds.add(row, r.ordinals) })
	if err != nil || b.left < 0 {
		return nil, false, err
	}
	for _, name := range names {
		if err := b.split(name); err != nil || b.left < 0 {
			return nil, false, err
		}
	}
	return &b.Groups, true, nil
}

// Rivals returns the end of the series that may come before the first of a group
// in the order of label sets, though their numbers are higher: first+1 if there
// are none.
func (g *Groups) Rivals(first uint32) (end uint32) {
	at := sort.Search(len(g.metrics), func(i int) bool { return g.metrics[i].end > first })
	if m := g.metrics[at]; g.bounds.intersects(uint64(m.first), uint64(m.end)) {
		return m.end // le is where its name belongs in the one order, last in the other
	}
	return first + 1
}

type groupsBuilder struct {
	Groups
	m    matching
	left int // values that may be met
}

// values visits the rows of the label's values, until there are too many.
func (b *groupsBuilder) values(name string, visit func(value, row []byte) error) error {
	var current []byte
	err := b.m.values(name, "", func(value []byte) bool {
		current = append(current[:0], value...)
		return true
	}, func(row []byte) error {
		if b.left--; b.left < 0 {
			return errEnough
		}
		return visit(current, row)
	})
	if err == errEnough {
		return nil
	}
	return err
}

// order finds the metrics. They give the order of label sets if all series have a
// name, and no label comes before it.
func (b *groupsBuilder) order() (ordered bool, err error) {
	lower := b.m.reader.key(familyPostings)
	if !b.m.it.SeekGE(lower) {
		return false, b.m.it.Err()
	}
	if name, _, err := keyspace.CutString(b.m.it.Key()[len(lower):]); err != nil || name != series.MetricName {
		return false, err
	}
	end := uint32(0)
	ordered = true
	err = b.values(series.MetricName, func(_, row []byte) error {
		return eachRun(row, b.m.reader.ordinals, func(first, to uint64) bool {
			ordered = ordered && first == uint64(end)
			end = uint32(to)
			b.metrics = append(b.metrics, ordinalRun{uint32(first), end})
			return ordered
		})
	})
	return ordered && end == b.m.reader.ordinals, err
}

// splitMax bounds the groups that a label's column may make.
const splitMax = 1 << 20

// split divides the groups by one more label.
func (b *groupsBuilder) split(name string) error {
	column, err := b.m.reader.column(name)
	if err != nil {
		return err
	}
	if column != nil && len(column.texts)*len(b.Labels) <= splitMax {
		b.splitColumn(name, column)
		return nil
	}
	known := map[uint32]uint32{} // of a value, by the group divided
	return b.values(name, func(value, row []byte) error {
		clear(known)
		var parent, child uint32
		have := false
		return eachRun(row, b.m.reader.ordinals, func(first, end uint64) bool {
			for i := first; i < end; i++ {
				if of := b.Of[i]; !have || of != parent {
					parent, have = of, true
					if child = known[of]; child == 0 {
						child = b.add(of, name, value)
						known[of] = child
					}
				}
				b.Of[i] = child
			}
			return true
		})
	})
}

// splitColumn is split with the values of all series at hand.
func (b *groupsBuilder) splitColumn(name string, column *ValueColumn) {
	values := len(column.texts)
	if b.left -= values - 1; b.left < 0 {
		return
	}
	known := make([]uint32, values*len(b.Labels)) // by the group divided and value
	for i, value := range column.of {
		if value == 0 {
			continue
		}
		of := b.Of[i]
		child := &known[int(of)*values+int(value)]
		if *child == 0 {
			*child = b.add(of, name, []byte(column.texts[value]))
		}
		b.Of[i] = *child
	}
}

// add makes the group that has one more label than another.
func (b *groupsBuilder) add(of uint32, name string, value []byte) uint32 {
	ls := slices.Clone(b.Labels[of])
	b.Labels = append(b.Labels, series.AppendLabels(ls, labels.FromStrings(name, string(value))))
	return uint32(len(b.Labels) - 1)
}
