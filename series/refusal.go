package series

import (
	"fmt"
	"strconv"
	"strings"
)

// Reason says why something was refused. Reasons are few and fixed, so that
// they can label a metric.
type Reason string

// The reasons for which samples, exemplars or series are refused.
const (
	ReasonNoMetricName      Reason = "no_metric_name"
	ReasonEmptyLabelName    Reason = "empty_label_name"
	ReasonDuplicateLabel    Reason = "duplicate_label"
	ReasonTooManyLabels     Reason = "too_many_labels"
	ReasonLabelTooLong      Reason = "label_too_long"
	ReasonInvalidUTF8       Reason = "invalid_utf8"
	ReasonInvalidHistogram  Reason = "invalid_histogram"
	ReasonInvalidExemplar   Reason = "invalid_exemplar"
	ReasonMixedSamples      Reason = "mixed_samples"
	ReasonNoSamples         Reason = "no_samples"
	ReasonTooOld            Reason = "too_old"
	ReasonTooFarAhead       Reason = "too_far_ahead"
	ReasonTooManyPartitions Reason = "too_many_partitions"
	ReasonTooManySeries     Reason = "too_many_series"
	ReasonTooManyOfMetric   Reason = "too_many_series_of_metric"
)

// Refusal is the account of one reason: how much it cost, and the first series
// it struck.
type Refusal struct {
	Reason     Reason
	Series     string // the first offending series, in PromQL's notation
	Detail     string // what is wrong with it, naming the limit
	Samples    int    // float samples refused
	Histograms int    // native histogram samples refused
	Exemplars  int    // exemplars refused
}

// Refusals collects refusals, one entry a reason. The zero value is empty.
type Refusals struct{ list []Refusal }

// Add counts a refusal of samples, histograms and exemplars. The functions
// describe the offence and are called only for the first of its reason.
func (r *Refusals) Add(reason Reason, samples, histograms, exemplars int, describe func() (series, detail string)) {
	for i := range r.list {
		if e := &r.list[i]; e.Reason == reason {
			e.Samples += samples
			e.Histograms += histograms
			e.Exemplars += exemplars
			return
		}
	}
	s, detail := describe()
	r.list = append(r.list, Refusal{reason, s, detail, samples, histograms, exemplars})
}

// Merge adds all of other to r.
func (r *Refusals) Merge(other Refusals) {
	for _, e := range other.list {
		r.Add(e.Reason, e.Samples, e.Histograms, e.Exemplars, func() (string, string) { return e.Series, e.Detail })
	}
}

// Empty reports whether nothing was refused.
func (r Refusals) Empty() bool { return len(r.list) == 0 }

// All returns the entries in the order in which the reasons first occurred.
func (r Refusals) All() []Refusal { return r.list }

// String describes the refusals in words for the sender: how many samples,
// why, and the first series of each reason.
func (r Refusals) String() string {
	var s strings.Builder
	for i, e := range r.list {
		if i > 0 {
			s.WriteString("; ")
		}
		fmt.Fprintf(&s, "refused %s (%s): %s", e.amount(), e.Reason, e.Detail)
		if e.Series != "" {
			fmt.Fprintf(&s, ", first in series %s", e.Series)
		}
	}
	return s.String()
}

func (r Refusal) amount() string {
	var parts []string
	add := func(n int, one string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, strconv.Itoa(n)+" "+one+"s")
		}
	}
	add(r.Samples, "sample")
	add(r.Histograms, "histogram")
	add(r.Exemplars, "exemplar")
	if parts == nil {
		return "a series"
	}
	return strings.Join(parts, ", ")
}

// Outcome is the exact account of one batch.
type Outcome struct {
	Samples    int // float samples stored, duplicates included
	Histograms int // native histogram samples stored
	Exemplars  int // exemplars stored
	Refused    Refusals
}

func countDetail(what string, got, limit int) string {
	return fmt.Sprintf("%d %s, the limit is %d", got, what, limit)
}

const clipBytes = 128

func clip(b []byte) string {
	if len(b) > clipBytes {
		return string(b[:clipBytes]) + "..."
	}
	return string(b)
}

func quote(b []byte) string { return strconv.Quote(clip(b)) }
