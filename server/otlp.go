package server

import (
	"strings"

	"github.com/prometheus/otlptranslator"

	"github.com/varve-db/varve/ingest/otlp"
)

// OTLPConfig says how OpenTelemetry's metrics become series.
type OTLPConfig struct {
	Strategy      string
	Promote       string // names with commas between them; "*": all
	ScopeLabels   bool
	CustomBuckets bool
	ConvertDeltas bool
}

func otlpSettings() []Setting {
	strategies := []string{
		string(otlptranslator.UnderscoreEscapingWithSuffixes), string(otlptranslator.UnderscoreEscapingWithoutSuffixes),
		string(otlptranslator.NoUTF8EscapingWithSuffixes), string(otlptranslator.NoTranslation),
	}
	return []Setting{
		{Name: "otlp.translation-strategy", Default: strategies[0], Help: "How OpenTelemetry's names become those of metrics and labels, as Prometheus's setting of that name.",
			bind: func(c *Config) field { return choiceValue{&c.OTLP.Strategy, strategies} }},
		{Name: "otlp.promote-resource-attributes", Default: "", Help: "Resource attributes that become labels of every series, with commas between them; * promotes all. The others are labels of target_info.",
			bind: func(c *Config) field { return textValue{&c.OTLP.Promote} }},
		{Name: "otlp.promote-scope", Default: "false", Help: "Make the instrumentation scope's name, version and attributes labels otel_scope_*.",
			bind: func(c *Config) field { return boolValue{&c.OTLP.ScopeLabels} }},
		{Name: "otlp.convert-histograms-to-nhcb", Default: "false", Help: "Store explicit histograms as native histograms with custom buckets.",
			bind: func(c *Config) field { return boolValue{&c.OTLP.CustomBuckets} }},
		{Name: "otlp.convert-deltas", Default: "false", Help: "Add up what senders report as differences; without it those points are refused. The sums are in memory: they begin again at a restart, with a later start timestamp.",
			bind: func(c *Config) field { return boolValue{&c.OTLP.ConvertDeltas} }},
	}
}

func otlpOptions(n *Node, c OTLPConfig) otlp.Options {
	o := otlp.Options{
		Strategy:    otlptranslator.TranslationStrategyOption(c.Strategy),
		ScopeLabels: c.ScopeLabels, CustomBuckets: c.CustomBuckets, PromoteAll: c.Promote == "*",
	}
	if !o.PromoteAll {
		for name := range strings.SplitSeq(c.Promote, ",") {
			if name = strings.TrimSpace(name); name != "" {
				o.Promote = append(o.Promote, name)
			}
		}
	}
	if c.ConvertDeltas {
		o.Deltas = otlp.NewDeltas(otlp.DeltaOptions{Now: n.options.Now})
	}
	return o
}
