package tsdb

import (
	"slices"
	"sync"
)

// failuresMax is how many deletions that failed are remembered.
const failuresMax = 100

// deletions are those that no record tells of: they run, have failed, or found
// nothing.
type deletions struct {
	mu   sync.Mutex
	list []*DeletionReport
}

// begin lists a deletion; what it returns is called when that ends.
func (d *deletions) begin(r DeletionReport) (done func(DeletionReport)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	listed := &r
	d.list = append(d.list, listed)
	return func(end DeletionReport) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if end.Partitions > 0 && end.State == DeletionDone { // it is on record
			d.list = slices.DeleteFunc(d.list, func(x *DeletionReport) bool { return x == listed })
			return
		}
		*listed = end
		for i := 0; len(d.list) > failuresMax && i < len(d.list); {
			if d.list[i].State == DeletionRunning {
				i++
				continue
			}
			d.list = slices.Delete(d.list, i, i+1)
		}
	}
}

// others returns what is listed.
func (d *deletions) others() (list []DeletionReport) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.list {
		list = append(list, *r)
	}
	return list
}
