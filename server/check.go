package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/tsdb"
)

// ErrDamaged says that a folder was read and is not whole.
var ErrDamaged = errors.New("the folder is damaged")

// Inspection verifies a data folder that no server uses.
type Inspection struct {
	Path     string    // the data folder (storage.path)
	JSON     bool      // write the report as JSON
	Out      io.Writer // gets the report
	Progress io.Writer // gets a line that rewrites itself; io.Discard for none
}

// Run reads every row, and writes a report. It returns ErrDamaged if anything is
// damaged.
func (c Inspection) Run(ctx context.Context) error {
	report, err := c.check(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(c.Out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = writeCheck(c.Out, report)
	}
	if err == nil && report.Damaged > 0 {
		err = fmt.Errorf("%w: %d findings", ErrDamaged, report.Damaged)
	}
	return err
}

// check opens the folder read-only and checks it.
func (c Inspection) check(ctx context.Context) (report tsdb.CheckReport, err error) {
	dir := filepath.Join(c.Path, storeFolder)
	if _, err := os.Stat(dir); err != nil {
		return report, fmt.Errorf("open data folder: %w", err)
	}
	store, err := pebblekv.Open(dir, pebblekv.Options{ReadOnly: true, Reserve: -1})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	report, err = tsdb.Check(ctx, store, tsdb.CheckOptions{Progress: func(done, total int64) {
		fmt.Fprintf(c.Progress, "\rchecked %3d %% of %s ", done*100/max(total, 1), byteText(uint64(total)))
	}})
	fmt.Fprint(c.Progress, "\r\x1b[K")
	return report, err
}

// writeCheck writes a report for a person.
func writeCheck(w io.Writer, r tsdb.CheckReport) error {
	var s strings.Builder
	for _, d := range r.Damage {
		fmt.Fprintf(&s, "damaged: %s", d.Family)
		if d.Generation != "" {
			fmt.Fprintf(&s, ", %s", d.Generation)
		}
		fmt.Fprintf(&s, "\n  key     %s\n  reason  %s\n", d.Key, d.Reason)
	}
	if more := r.Damaged - len(r.Damage); more > 0 {
		fmt.Fprintf(&s, "and %d more\n", more)
	}
	for _, row := range []struct {
		name  string
		value string
	}{
		{"generations", fmt.Sprintf("%d, of which %d sealed", r.Generations, r.Sealed)},
		{"waiting to go", fmt.Sprintf("%d dropped generations", r.Dropped)},
		{"series", fmt.Sprintf("%d", r.Series)},
		{"samples", fmt.Sprintf("%d", r.Samples)},
		{"exemplars", fmt.Sprintf("%d", r.Exemplars)},
		{"size", fmt.Sprintf("%s, %.3f bytes a sample", byteText(r.PartitionBytes), r.BytesPerSample)},
		{"log", fmt.Sprintf("%d records with %d samples not flushed yet", r.LogRecords, r.LogSamples)},
		{"metadata", fmt.Sprintf("%d metrics", r.Metadata)},
		{"keyspaces", fmt.Sprintf("%d keys", r.Generic)},
		{"read", fmt.Sprintf("%d rows, %s", r.Rows, byteText(r.Bytes))},
		{"damage", fmt.Sprintf("%d findings", r.Damaged)},
	} {
		fmt.Fprintf(&s, "%-14s %s\n", row.name, row.value)
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// byteText returns a number of bytes for a person.
func byteText(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f := float64(n)
	for len(units) > 1 && f >= 1024 {
		f, units = f/1024, units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[0])
}
