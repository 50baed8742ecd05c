package otlp

import (
	"time"

	"github.com/prometheus/otlptranslator"

	"github.com/varve-db/varve/series"
)

// Options tune a Decoder. The zero value works and does what Prometheus does
// without configuration.
type Options struct {
	// LabelRules are the limits of label sets.
	LabelRules series.LabelRules
	// MemoryBytesMax bounds what a batch takes; 0 means 512 MiB.
	MemoryBytesMax int

	// Strategy says how names are made; default UnderscoreEscapingWithSuffixes.
	Strategy otlptranslator.TranslationStrategyOption
	// Promote lists the resource attributes that become labels of every series of
	// the resource; PromoteAll takes all but those in Ignore.
	Promote    []string
	PromoteAll bool
	Ignore     []string
	// ScopeLabels adds the instrumentation scope's name, version, schema URL and
	// attributes as labels otel_scope_*.
	ScopeLabels bool
	// TypeAndUnitLabels adds the labels __type__ and __unit__.
	TypeAndUnitLabels bool
	// CustomBuckets stores explicit histograms as native histograms with custom
	// buckets instead of as series _bucket, _sum and _count.
	CustomBuckets bool

	// NoTargetInfo leaves target_info out. It is written at the first and the last
	// time of a resource's data points, and every TargetInfoInterval between;
	// default 150 s, which is half of the lookback of queries.
	NoTargetInfo       bool
	TargetInfoInterval time.Duration
	// KeepIdentifying keeps the attributes that job and instance are made of as
	// labels of target_info.
	KeepIdentifying bool

	// Deltas adds up what senders send as differences; nil refuses it.
	Deltas *Deltas
}

func (o Options) withDefaults() Options {
	o.LabelRules = o.LabelRules.WithDefaults()
	if o.MemoryBytesMax == 0 {
		o.MemoryBytesMax = 512 << 20
	}
	if o.Strategy == "" {
		o.Strategy = otlptranslator.UnderscoreEscapingWithSuffixes
	}
	if o.TargetInfoInterval == 0 {
		o.TargetInfoInterval = 150 * time.Second
	}
	return o
}
