package remotewrite

import (
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/varve-db/varve/series"
)

// metadataV1 decodes the MetricMetadata message b[i:]: the type is field 1, the
// family's name 2, help 4 and the unit 5.
func (d *Decoder) metadataV1(b []byte, i int) error {
	var kind int32
	var metric, help, unit []byte
	for i < len(b) {
		start := i
		t, at := readTag(b, i)
		if at < 0 {
			return malformed(start, "a broken tag in metadata")
		}
		switch t {
		case of(1, wireVarint):
			var v uint64
			v, i = uvarint(b, at)
			kind = int32(v)
		case of(2, wireBytes), of(4, wireBytes), of(5, wireBytes):
			var from int
			if from, i = span(b, at); i < 0 {
				break
			}
			switch t.field() {
			case 2:
				metric = b[from:i]
			case 4:
				help = b[from:i]
			case 5:
				unit = b[from:i]
			}
		default:
			if f := t.field(); f == 1 || f == 2 || f == 4 || f == 5 {
				return malformed(start, "a field of the wrong type in metadata")
			}
			i = skip(b, at, t)
		}
		if i < 0 {
			return malformed(start, "broken metadata")
		}
	}
	if kind == 0 && len(help) == 0 && len(unit) == 0 {
		return nil
	}
	return d.addMetadata(metric, metricType(kind), help, unit)
}

// metadataRefs is a Metadata message of 2.0.
type metadataRefs struct {
	kind       int32
	help, unit uint32
}

func (m metadataRefs) none() bool { return m == metadataRefs{} }

// read merges the Metadata message b[i:] into m and reports whether it is
// well-formed: the type is field 1, help 3 and the unit 4, both as symbols.
func (m *metadataRefs) read(b []byte, i int) bool {
	for i < len(b) {
		t, at := readTag(b, i)
		if at < 0 {
			return false
		}
		var v uint64
		switch t {
		case of(1, wireVarint):
			v, i = uvarint(b, at)
			m.kind = int32(v)
		case of(3, wireVarint):
			v, i = uvarint(b, at)
			m.help = uint32(v)
		case of(4, wireVarint):
			v, i = uvarint(b, at)
			m.unit = uint32(v)
		default:
			if f := t.field(); f == 1 || f == 3 || f == 4 {
				return false
			}
			i = skip(b, at, t)
		}
		if i < 0 {
			return false
		}
	}
	return true
}

// metadataV2 adds what m says about the metric of the series at hand, unless it
// is what the request said about that metric last. metric is the symbol of its
// name; 0 means the name of the row begun last.
func (d *Decoder) metadataV2(b []byte, metric uint32, native bool, m metadataRefs) error {
	if metric != 0 {
		if len(d.seen) == 0 {
			d.seen = resized(d.seen, len(d.symbols))
		}
		if d.seen[metric] == m {
			return nil
		}
		d.seen[metric] = m
	}
	var name []byte
	if metric != 0 {
		name = d.text(b, metric)
	} else {
		name = d.dst.Labels(len(d.dst.Rows) - 1).Get(series.MetricName)
	}
	kind := metricType(m.kind)
	if !native { // a native histogram's metric is the family itself
		name = name[:len(familyName(name, kind))]
	}
	return d.addMetadata(name, kind, d.text(b, m.help), d.text(b, m.unit))
}

// resized returns s with n zeroed entries.
func resized(s []metadataRefs, n int) []metadataRefs {
	if cap(s) < n {
		return make([]metadataRefs, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// familyName returns the name of the family that the metric called name, a part
// of a classic histogram or summary, belongs to. Other metrics are families.
func familyName[T string | []byte](name T, kind model.MetricType) T {
	var suffixes []string
	switch kind {
	case model.MetricTypeHistogram:
		suffixes = histogramSuffixes
	case model.MetricTypeGaugeHistogram:
		suffixes = gaugeHistogramSuffixes
	case model.MetricTypeSummary:
		suffixes = summarySuffixes
	}
	for _, suffix := range suffixes {
		if n := len(name) - len(suffix); n > 0 && string(name[n:]) == suffix {
			return name[:n]
		}
	}
	return name
}

var (
	histogramSuffixes      = []string{"_bucket", "_sum", "_count", "_created"}
	gaugeHistogramSuffixes = []string{"_bucket", "_gsum", "_gcount"}
	summarySuffixes        = []string{"_sum", "_count", "_created"}
)

// addMetadata adds an entry unless it repeats one of the latest.
func (d *Decoder) addMetadata(metric []byte, kind model.MetricType, help, unit []byte) error {
	const looksBack = 4 // the parts of one histogram follow each other
	list := d.dst.Metadata
	for _, e := range list[max(0, len(list)-looksBack):] {
		if e.Metric == string(metric) && e.Type == kind && e.Help == string(help) && e.Unit == string(unit) {
			return nil
		}
	}
	if reason, detail := checkMetadata(metric, help, unit); reason != "" {
		d.dst.Refused.Add(reason, 0, 0, 0, func() (string, string) {
			return strings.ToValidUTF8(string(metric), "\uFFFD"), detail
		})
		return nil
	}
	if err := d.charge(metadataBytes + len(metric) + len(help) + len(unit)); err != nil {
		return err
	}
	d.dst.Metadata = append(list, series.Metadata{
		Metric: d.strings.of(metric), Type: kind, Unit: d.strings.of(unit), Help: d.strings.of(help),
	})
	return nil
}

func checkMetadata(metric, help, unit []byte) (series.Reason, string) {
	switch {
	case len(metric) == 0:
		return series.ReasonNoMetricName, "metadata names no metric"
	case !utf8.Valid(metric), !utf8.Valid(help), !utf8.Valid(unit):
		return series.ReasonInvalidUTF8, "metadata is not valid UTF-8"
	}
	return "", ""
}

// interned keeps the strings of metadata, which every request repeats.
type interned struct {
	strings map[string]string
	bytes   int
}

// Bounds of interned: beyond them it starts anew, and longer strings are not kept.
const (
	internedBytesMax = 1 << 20
	internedLongest  = 1 << 10
	internedEntry    = 64 // what the map takes for an entry
)

func (t *interned) of(b []byte) string {
	if s, ok := t.strings[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) > internedLongest {
		return s
	}
	if t.strings == nil || t.bytes > internedBytesMax {
		t.strings, t.bytes = map[string]string{}, 0
	}
	t.strings[s] = s
	t.bytes += len(s) + internedEntry
	return s
}
