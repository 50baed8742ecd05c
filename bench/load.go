package bench

import (
	"context"
	"fmt"
	"time"
)

// LoadReport is the account of a data set that was loaded.
type LoadReport struct {
	Samples int     `json:"samples"`
	Seconds float64 `json:"seconds"`
	Server  Cost    `json:"server"`
}

// loadAbreast is how far one connection gets ahead of the others, in sample
// time.
const loadAbreast = 10 * time.Minute

// Load sends the whole data set to the receiver of o, whose process is o.PID, in
// the order of time.
func (d DataSet) Load(ctx context.Context, how DataOptions, o IngestOptions) (LoadReport, error) {
	sources, err := d.Sources(how)
	if err != nil {
		return LoadReport{}, err
	}
	o.Protocol = how.Protocol
	before, err := readUsage("/proc", o.PID)
	if err != nil {
		return LoadReport{}, err
	}
	var report LoadReport
	began := time.Now()
	common := make([]Source, len(sources))
	for until := sources[0].at; until < how.End.UnixMilli(); {
		until += loadAbreast.Milliseconds()
		for i, s := range sources {
			s.Until(until)
			common[i] = s
		}
		sent, err := Ingest(ctx, common, o)
		report.Samples += sent.Samples
		if err != nil {
			return report, fmt.Errorf("load data set %s: %w", d.Name, err)
		}
	}
	report.Seconds = time.Since(began).Seconds()
	after, err := readUsage("/proc", o.PID)
	if err != nil {
		return report, err
	}
	report.Server = after.since(before)
	if report.Samples != d.Samples() {
		return report, fmt.Errorf("load data set %s: %d of %d samples sent", d.Name, report.Samples, d.Samples())
	}
	return report, nil
}
