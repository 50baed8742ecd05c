package remotewrite

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/varve-db/varve/series"
)

// Decoder decodes requests one after another and keeps its tables, and the
// strings of recent metadata, for the next one. The zero value is ready.
type Decoder struct {
	// MemoryBytesMax bounds what a batch takes; 0 means 512 MiB. Below it, the
	// bound is a multiple of the body's length that honest requests stay under.
	MemoryBytesMax int

	dst     *series.Batch
	rules   series.LabelRules
	budget  int  // bytes that the request may still take
	discard bool // the series at hand was refused: check it, keep nothing

	symbols    []symbol
	nameSymbol uint32 // index of the only symbol "__name__", or 0
	refs       []uint32
	seen       []metadataRefs // what the request said last, by the symbol of the metric's name
	strings    interned
}

// DecodeV1 decodes body, a prometheus.WriteRequest, into dst, which should be
// empty. Series that break rules are counted in dst.Refused.
func DecodeV1(dst *series.Batch, body []byte, rules series.LabelRules) error {
	var d Decoder
	return d.V1(dst, body, rules)
}

// DecodeV2 decodes body, an io.prometheus.write.v2.Request, into dst, which
// should be empty. Series that break rules are counted in dst.Refused.
func DecodeV2(dst *series.Batch, body []byte, rules series.LabelRules) error {
	var d Decoder
	return d.V2(dst, body, rules)
}

// MemoryBytes returns how much memory d keeps for reuse.
func (d *Decoder) MemoryBytes() int {
	return int(unsafe.Sizeof(symbol{}))*cap(d.symbols) + 4*cap(d.refs) +
		int(unsafe.Sizeof(metadataRefs{}))*cap(d.seen) + d.strings.bytes
}

// How many bytes of batch a byte of body may become. In 1.0 a label is sent as
// long as it is; in 2.0 two bytes may stand for a whole label, again and again.
const (
	growthV1    = 24
	growthV2    = 64
	growthFixed = 1 << 20
)

// What an entry of each kind takes, for the budget.
const (
	rowBytes       = int(unsafe.Sizeof(series.Row{}))
	sampleBytes    = 3 * 8
	exemplarBytes  = int(unsafe.Sizeof(series.Exemplar{}))
	histogramBytes = int(unsafe.Sizeof(series.Histogram{}) + unsafe.Sizeof(histogram.Histogram{}))
	metadataBytes  = int(unsafe.Sizeof(series.Metadata{}))
	spanBytes      = int(unsafe.Sizeof(histogram.Span{}))
	symbolBytes    = int(unsafe.Sizeof(symbol{}) + unsafe.Sizeof(metadataRefs{}))
)

func (d *Decoder) begin(dst *series.Batch, body []byte, rules series.LabelRules, growth int) error {
	if uint64(len(body)) > math.MaxUint32 {
		return fmt.Errorf("%w: the body has %d bytes", ErrTooLarge, len(body))
	}
	d.dst, d.rules, d.discard = dst, rules.WithDefaults(), false
	limit := d.MemoryBytesMax
	if limit == 0 {
		limit = 512 << 20
	}
	d.budget = min(limit, growthFixed+growth*len(body))
	return nil
}

// charge takes n bytes from the request's budget.
func (d *Decoder) charge(n int) error {
	if d.budget -= n; d.budget < 0 {
		return fmt.Errorf("%w than its size allows", ErrTooLarge)
	}
	return nil
}

// contents counts what one series brings.
type contents struct{ samples, histograms, exemplars int }

func (c contents) none() bool { return c == contents{} }

func (c contents) bytes() int {
	return rowBytes + c.samples*sampleBytes + c.histograms*histogramBytes + c.exemplars*exemplarBytes
}

// beginRow opens a row for the labels just collected. When they break a rule,
// the series's contents are counted as refused and will be discarded. The
// collected labels may be fewer than the series has: labels is the true number.
func (d *Decoder) beginRow(labels int, c contents) {
	var reason series.Reason
	var detail string
	if labels > d.rules.LabelsMax {
		reason = series.ReasonTooManyLabels
		detail = fmt.Sprintf("%d labels, the limit is %d", labels, d.rules.LabelsMax)
	} else {
		reason, detail = d.dst.BeginRow(d.rules)
	}
	d.discard = reason != ""
	if d.discard {
		d.refuse(reason, detail, c)
	}
}

// refuse counts a series whose labels are still pending.
func (d *Decoder) refuse(reason series.Reason, detail string, c contents) {
	d.dst.Refused.Add(reason, c.samples, c.histograms, c.exemplars, func() (string, string) {
		return d.dst.PendingLabels(), detail
	})
}

// addExemplar adds an exemplar with the labels just collected to the row begun
// last, or counts it as refused. labels is the true number of its labels.
func (d *Decoder) addExemplar(labels int, timestamp int64, value float64) {
	if d.discard {
		return
	}
	var reason series.Reason
	var detail string
	if labels > d.rules.LabelsMax {
		reason = series.ReasonTooManyLabels
		detail = fmt.Sprintf("%d labels of an exemplar, the limit is %d", labels, d.rules.LabelsMax)
	} else if reason, detail = d.dst.AddExemplar(timestamp, value, d.rules); reason != "" {
		detail = "exemplar: " + detail
	}
	if reason != "" {
		d.dst.Refused.Add(reason, 0, 0, 1, func() (string, string) { return d.rowText(), detail })
	}
}

// rowText names the row begun last.
func (d *Decoder) rowText() string { return d.dst.Labels(len(d.dst.Rows) - 1).String() }
