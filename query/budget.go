package query

import (
	"errors"
	"strings"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// Budget is what one request may take from storage, and what it has taken. It
// implements series.Budget for reads that have no selector of their own, such as
// label names; a selector's reads are charged to a part of it, see selectors.go.
type Budget struct {
	bytesMax  int64
	seriesMax int64
	bytes     atomic.Int64
	series    atomic.Int64
	reading   atomic.Pointer[selectorBudget] // that charged last
}

// NewBudget returns a budget of bytesMax bytes of chunks for all selectors
// together, and of seriesMax series for each. Zero or less means no limit.
func NewBudget(bytesMax, seriesMax int64) *Budget {
	return &Budget{bytesMax: bytesMax, seriesMax: seriesMax}
}

// Bytes returns how many bytes of chunks were charged.
func (b *Budget) Bytes() int64 { return b.bytes.Load() }

// Series returns how many series were charged, or came out of selectors.
func (b *Budget) Series() int64 { return b.series.Load() }

// ChargeBytes implements series.Budget.
func (b *Budget) ChargeBytes(n int64) error { return b.chargeBytes(n, nil) }

// ChargeSeries implements series.Budget.
func (b *Budget) ChargeSeries(n int) error {
	if total := b.series.Add(int64(n)); b.seriesMax > 0 && total > b.seriesMax {
		return &LimitError{Limit: limitSeries, Max: b.seriesMax}
	}
	return nil
}

func (b *Budget) chargeBytes(n int64, at []*labels.Matcher) error {
	if total := b.bytes.Add(n); b.bytesMax > 0 && total > b.bytesMax {
		return &LimitError{Limit: limitBytes, Max: b.bytesMax, Subject: selectorText(at)}
	}
	return nil
}

// The limits in words, as errors name them.
const (
	limitSeries  = "series per selector"
	limitBytes   = "bytes of chunks"
	limitSamples = "samples in memory"
)

// samples names the limit of samples in memory, if that is what err is about, and
// the selector that was being read.
func (b *Budget) samples(limit int, err error) error {
	var tooMany promql.ErrTooManySamples
	if !errors.As(err, &tooMany) {
		return err
	}
	named := &LimitError{Limit: limitSamples, Max: int64(limit), Err: tooMany}
	if s := b.reading.Load(); s != nil {
		named.Subject = selectorText(s.matchers)
	}
	return named
}

// selectorBudget is the part of a budget that one selector reads on.
type selectorBudget struct {
	whole    *Budget
	matchers []*labels.Matcher
	charged  atomic.Int64
}

// ChargeBytes implements series.Budget.
func (s *selectorBudget) ChargeBytes(n int64) error {
	s.whole.reading.Store(s)
	return s.whole.chargeBytes(n, s.matchers)
}

// ChargeSeries implements series.Budget.
func (s *selectorBudget) ChargeSeries(n int) error {
	s.whole.reading.Store(s)
	s.whole.series.Add(int64(n))
	return s.within(s.charged.Add(int64(n)))
}

func (s *selectorBudget) within(series int64) error {
	if limit := s.whole.seriesMax; limit > 0 && series > limit {
		return &LimitError{Limit: limitSeries, Max: limit, Subject: selectorText(s.matchers)}
	}
	return nil
}

// selectorText prints matchers as a selector, cut where it is long.
func selectorText(matchers []*labels.Matcher) string {
	const bytesMax = 300
	if len(matchers) == 0 {
		return ""
	}
	var text strings.Builder
	for i, m := range matchers {
		if i > 0 {
			text.WriteByte(',')
		}
		if text.Len() > bytesMax {
			text.WriteString("...")
			break
		}
		value := m.String()
		if len(value) > bytesMax {
			value = strings.ToValidUTF8(value[:bytesMax], "") + "..."
		}
		text.WriteString(value)
	}
	return "{" + text.String() + "}"
}

// reset forgets what was charged.
func (b *Budget) reset() {
	b.bytes.Store(0)
	b.series.Store(0)
}
