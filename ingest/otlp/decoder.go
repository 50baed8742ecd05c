package otlp

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/varve-db/varve/series"
)

// Decoder decodes requests one after another and keeps its tables, and the names
// that it has made, for the next one.
type Decoder struct {
	// Tenant keeps the deltas of tenants apart. Set it before a request.
	Tenant series.TenantID

	options Options
	escape  bool // names lose what is not a letter, a digit or an underscore
	names   names
	json    transcoder

	dst     *series.Batch
	budget  int // bytes that the request may still take
	request uint64

	resource resource
	scope    scope
	point    point
	metric   *metric
	deltas   bool // the metric's points are differences

	text     []byte  // of values that are not strings in the body
	own      []label // of the point's attributes
	set      []label // of the point's series
	setBytes int
}

// resource is what a ResourceMetrics message says of all its series.
type resource struct {
	attributes      []attribute
	job, instance   []byte
	base            []baseLabel
	problem         error // why none of its points can be stored
	earliest, until int64 // times of its points, in nanoseconds
	textBytes       int   // of Decoder.text that belong to it
}

// scope is what a ScopeMetrics message says of all its series.
type scope struct {
	base      []baseLabel
	metric    []baseLabel // base, with what the metric adds
	problem   error
	textBytes int
}

// NewDecoder returns a Decoder.
func NewDecoder(o Options) *Decoder {
	o = o.withDefaults()
	return &Decoder{options: o, escape: o.Strategy.ShouldEscape(), names: newNames(o.Strategy)}
}

// MemoryBytes returns about how much memory d keeps for reuse.
func (d *Decoder) MemoryBytes() int {
	p := &d.point
	return d.names.bytes + cap(d.text) + cap(d.json.out) + 8*(cap(p.counts)+cap(p.bounds)+cap(p.positive.counts)+cap(p.negative.counts)) +
		int(unsafe.Sizeof(attribute{}))*(cap(p.attributes)+cap(d.resource.attributes)) + int(unsafe.Sizeof(exemplar{}))*cap(p.exemplars)
}

// How many bytes of batch a byte of body may become: a bucket of 16 bytes becomes
// a series with all labels of its point, its scope and its resource.
const (
	growth      = 256
	growthFixed = 1 << 20
)

// What an entry of each kind takes, for the budget.
const (
	rowBytes       = int(unsafe.Sizeof(series.Row{}))
	sampleBytes    = 3 * 8
	exemplarBytes  = int(unsafe.Sizeof(series.Exemplar{}))
	histogramBytes = int(unsafe.Sizeof(series.Histogram{}) + unsafe.Sizeof(histogram.Histogram{}))
	metadataBytes  = int(unsafe.Sizeof(series.Metadata{}))
)

// charge takes n bytes from the request's budget.
func (d *Decoder) charge(n int) error {
	if d.budget -= n; d.budget < 0 {
		return fmt.Errorf("%w than its size allows", ErrTooLarge)
	}
	return nil
}

// Decode decodes body, an ExportMetricsServiceRequest in protobuf, into dst,
// which should be empty. Data points that cannot be stored are counted in
// dst.Refused.
func (d *Decoder) Decode(dst *series.Batch, body []byte) error {
	d.dst = dst
	d.budget = min(d.options.MemoryBytesMax, growthFixed+growth*len(body))
	d.request++
	f := fields{rest: body}
	for f.next() {
		if f.FieldNum != 1 {
			continue
		}
		if m := f.message(); f.err == nil {
			if err := d.resourceMetrics(m); err != nil {
				return err
			}
		}
	}
	if f.err != nil {
		return malformed("the request", f.err)
	}
	return nil
}

// resourceMetrics decodes a ResourceMetrics message: the resource is field 1,
// its scopes are 2.
func (d *Decoder) resourceMetrics(m []byte) error {
	r := &d.resource
	d.text = d.text[:0]
	r.attributes, r.base, r.problem = r.attributes[:0], r.base[:0], nil
	r.earliest, r.until = math.MaxInt64, math.MinInt64
	f := fields{rest: m}
	for f.next() {
		if f.FieldNum == 1 {
			if err := d.attributes(f.message(), 1, &r.attributes); err != nil {
				return err
			}
		}
	}
	if f.err != nil {
		return malformed("resource metrics", f.err)
	}
	d.describeResource()
	r.textBytes = len(d.text)
	for f = (fields{rest: m}); f.next(); {
		if f.FieldNum == 2 {
			if err := d.scopeMetrics(f.message()); err != nil {
				return err
			}
		}
	}
	if f.err != nil {
		return malformed("resource metrics", f.err)
	}
	return d.targetInfo()
}

// attributes appends the attributes of message m, which are its field number.
func (d *Decoder) attributes(m []byte, number uint32, list *[]attribute) error {
	f := fields{rest: m}
	for f.next() {
		if f.FieldNum != number {
			continue
		}
		a, err := d.attribute(f.message())
		if err != nil {
			return malformed("attributes", err)
		}
		*list = append(*list, a)
	}
	if f.err != nil {
		return malformed("attributes", f.err)
	}
	return nil
}

// The attributes that identify a resource: they become job and instance.
const (
	serviceName      = "service.name"
	serviceNamespace = "service.namespace"
	serviceInstance  = "service.instance.id"
)

func identifies(key []byte) bool {
	return string(key) == serviceName || string(key) == serviceNamespace || string(key) == serviceInstance
}

// describeResource makes the labels that a resource gives its series.
func (d *Decoder) describeResource() {
	r := &d.resource
	r.job, r.instance = nil, nil
	var namespace []byte
	var named, spaced bool
	for _, a := range r.attributes {
		switch string(a.key) {
		case serviceName:
			r.job, named = a.value, true
		case serviceNamespace:
			namespace, spaced = a.value, true
		case serviceInstance:
			r.instance = a.value
		}
	}
	if named && spaced {
		from := len(d.text)
		d.text = append(append(append(d.text, namespace...), '/'), r.job...)
		r.job = d.text[from:len(d.text):cap(d.text)]
	}
	for _, a := range r.attributes {
		if !d.promoted(string(a.key)) || r.problem != nil {
			continue
		}
		name, err := d.names.label(a.key)
		if err != nil {
			r.problem = fmt.Errorf("resource attribute: %w", err)
			return
		}
		r.base = setBase(r.base, baseLabel{label{name, a.value}, true})
	}
	r.base = d.identity(r.base)
}

// identity adds job and instance to base.
func (d *Decoder) identity(base []baseLabel) []baseLabel {
	if r := &d.resource; len(r.job) > 0 {
		base = setBase(base, baseLabel{label{nameJob, r.job}, false})
	}
	if r := &d.resource; len(r.instance) > 0 {
		base = setBase(base, baseLabel{label{nameInstance, r.instance}, false})
	}
	return base
}

func (d *Decoder) promoted(key string) bool {
	if d.options.PromoteAll {
		return !slices.Contains(d.options.Ignore, key)
	}
	return slices.Contains(d.options.Promote, key)
}

// scopeMetrics decodes a ScopeMetrics message: the scope is field 1, its metrics
// are 2, the schema's URL is 3.
func (d *Decoder) scopeMetrics(m []byte) error {
	s := &d.scope
	d.text = d.text[:d.resource.textBytes]
	s.base, s.problem = append(s.base[:0], d.resource.base...), nil
	var message, schema []byte
	f := fields{rest: m}
	for f.next() {
		switch f.FieldNum {
		case 1:
			message = f.message()
		case 3:
			schema = f.bytes()
		}
	}
	if f.err != nil {
		return malformed("scope metrics", f.err)
	}
	if d.options.ScopeLabels {
		if err := d.describeScope(message, schema); err != nil {
			return err
		}
	}
	s.textBytes = len(d.text)
	for f = (fields{rest: m}); f.next(); {
		if f.FieldNum == 2 {
			if err := d.readMetric(f.message()); err != nil {
				return err
			}
		}
	}
	return f.broken("scope metrics")
}

// The labels of a scope.
var (
	nameScope        = padded("otel_scope_name")
	nameScopeVersion = padded("otel_scope_version")
	nameScopeSchema  = padded("otel_scope_schema_url")
)

// describeScope adds the labels of an InstrumentationScope message: the name is
// field 1, the version 2, attributes are 3.
func (d *Decoder) describeScope(m, schema []byte) error {
	s := &d.scope
	var called, version []byte
	var attributes []attribute
	f := fields{rest: m}
	for f.next() {
		switch f.FieldNum {
		case 1:
			called = f.bytes()
		case 2:
			version = f.bytes()
		}
	}
	if f.err != nil {
		return malformed("a scope", f.err)
	}
	if err := d.attributes(m, 3, &attributes); err != nil {
		return err
	}
	if len(called) == 0 {
		return nil
	}
	for _, a := range attributes {
		name, err := d.names.label(append([]byte("otel_scope_"), a.key...))
		if err != nil {
			s.problem = fmt.Errorf("scope attribute: %w", err)
			return nil
		}
		s.base = setBase(s.base, baseLabel{label{name, a.value}, false})
	}
	s.base = setBase(s.base, baseLabel{label{nameScope, called}, false})
	s.base = setBase(s.base, baseLabel{label{nameScopeVersion, version}, false})
	s.base = setBase(s.base, baseLabel{label{nameScopeSchema, schema}, false})
	return nil
}
