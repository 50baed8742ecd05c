package server

import (
	"slices"
	"testing"

	"github.com/varve-db/varve/ingest/otlp"
)

func TestOTLPOptions(t *testing.T) {
	n := &Node{}
	for _, c := range []struct {
		config  OTLPConfig
		promote []string
		all     bool
		deltas  bool
	}{
		{OTLPConfig{}, nil, false, false},
		{OTLPConfig{Promote: "service.version, k8s.pod.name,"}, []string{"service.version", "k8s.pod.name"}, false, false},
		{OTLPConfig{Promote: "*", ConvertDeltas: true}, nil, true, true},
	} {
		o := otlpOptions(n, c.config)
		if !slices.Equal(o.Promote, c.promote) || o.PromoteAll != c.all || (o.Deltas != nil) != c.deltas {
			t.Errorf("%+v: %+v", c.config, o)
		}
	}
	var c Config
	for _, s := range otlpSettings() {
		if err := s.bind(&c).Set(s.Default); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	if otlp.NewDecoder(otlpOptions(n, c.OTLP)) == nil || c.OTLP.Strategy != "UnderscoreEscapingWithSuffixes" {
		t.Errorf("defaults %+v", c.OTLP)
	}
}
