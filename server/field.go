package server

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/varve-db/varve/query/plan"
)

// field reads and writes one value of a Config as text.
type field interface {
	Set(text string) error
	String() string
	// Type is the notation in one or two words, for help and documentation.
	Type() string
}

type textValue struct{ p *string }

func (v textValue) Set(s string) error { *v.p = s; return nil }
func (v textValue) String() string     { return *v.p }
func (v textValue) Type() string       { return "text" }

type boolValue struct{ p *bool }

func (v boolValue) Set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*v.p = b
	return nil
}
func (v boolValue) String() string { return strconv.FormatBool(*v.p) }
func (v boolValue) Type() string   { return "bool" }

type countValue struct{ p *int }

func (v countValue) Set(s string) error {
	n, err := strconv.ParseUint(strings.ReplaceAll(s, "_", ""), 10, 63)
	if err != nil || n > math.MaxInt {
		return fmt.Errorf("%q is not a whole number of 0 or more", s)
	}
	*v.p = int(n)
	return nil
}
func (v countValue) String() string { return strconv.Itoa(*v.p) }
func (v countValue) Type() string   { return "number" }

type durationValue struct{ p *time.Duration }

func (v durationValue) Set(s string) error {
	d, err := model.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration: write it as 30s, 10m, 1h30m or 90d", s)
	}
	*v.p = time.Duration(d)
	return nil
}
func (v durationValue) String() string { return model.Duration(*v.p).String() }
func (v durationValue) Type() string   { return "duration" }

type coarsestValue struct{ p *plan.Coarsest }

func (v coarsestValue) Set(s string) error {
	c, err := plan.ParseCoarsest(s)
	if err == nil && c == 0 {
		c = plan.Auto
	}
	if err == nil {
		*v.p = c
	}
	return err
}
func (v coarsestValue) String() string { return v.p.String() }
func (v coarsestValue) Type() string   { return "auto, raw or duration" }

// widthsValue is a list of widths, or none.
type widthsValue struct{ p *DownsampleConfig }

func (v widthsValue) Set(s string) error {
	*v.p = DownsampleConfig{}
	if s == "none" || s == "" {
		return nil
	}
	texts := strings.Split(s, ",")
	if len(texts) > len(v.p.Widths) {
		return fmt.Errorf("%q has more than %d widths", s, len(v.p.Widths))
	}
	for i, text := range texts {
		d, err := model.ParseDuration(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		v.p.Widths[i] = time.Duration(d)
	}
	return nil
}

func (v widthsValue) String() string {
	var texts []string
	for _, width := range v.p.list() {
		texts = append(texts, model.Duration(width).String())
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, ",")
}
func (v widthsValue) Type() string { return "durations or none" }

type sizeValue struct{ p *uint64 }

func (v sizeValue) Set(s string) error {
	n, err := parseSize(s)
	if err == nil {
		*v.p = n
	}
	return err
}
func (v sizeValue) String() string { return formatSize(*v.p) }
func (v sizeValue) Type() string   { return "size" }

type autoSizeValue struct{ p *AutoSize }

func (v autoSizeValue) Set(s string) error {
	if s == "auto" {
		*v.p = AutoSize{Auto: true}
		return nil
	}
	n, err := parseSize(s)
	if err != nil {
		return fmt.Errorf("%w, or auto", err)
	}
	*v.p = AutoSize{Bytes: n}
	return nil
}

func (v autoSizeValue) String() string {
	if v.p.Auto {
		return "auto"
	}
	return formatSize(v.p.Bytes)
}
func (v autoSizeValue) Type() string { return "size or auto" }

type syncValue struct{ p *Sync }

func (v syncValue) Set(s string) error {
	if s == "fsync" {
		*v.p = Sync{}
		return nil
	}
	text, ok := strings.CutPrefix(s, "interval:")
	d, err := model.ParseDuration(text)
	if !ok || err != nil || d <= 0 {
		return fmt.Errorf("%q is neither fsync nor an interval such as interval:100ms", s)
	}
	*v.p = Sync{Interval: time.Duration(d)}
	return nil
}

func (v syncValue) String() string {
	if v.p.Interval == 0 {
		return "fsync"
	}
	return "interval:" + model.Duration(v.p.Interval).String()
}
func (v syncValue) Type() string { return "fsync or interval" }

type levelValue struct{ p *slog.Level }

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func (v levelValue) Set(s string) error {
	level, ok := levels[s]
	if !ok {
		return fmt.Errorf("%q is not one of debug, info, warn, error", s)
	}
	*v.p = level
	return nil
}
func (v levelValue) String() string { return strings.ToLower(v.p.String()) }
func (v levelValue) Type() string   { return "level" }

type choiceValue struct {
	p       *string
	choices []string
}

func (v choiceValue) Set(s string) error {
	for _, c := range v.choices {
		if s == c {
			*v.p = s
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", s, strings.Join(v.choices, ", "))
}
func (v choiceValue) String() string { return *v.p }
func (v choiceValue) Type() string   { return strings.Join(v.choices, " or ") }

// sizeUnits are powers of 1024, as in Prometheus's flags, whether or not the
// "i" is written.
var sizeUnits = []struct {
	name  string
	bytes uint64
}{
	{"EiB", 1 << 60}, {"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
}

func parseSize(s string) (uint64, error) {
	bad := fmt.Errorf("%q is not a size: write it as 64MB or 1GiB (powers of 1024)", s)
	digits := strings.TrimRight(s, "BKMGTPEibkmgtpe ")
	unit := strings.ToLower(strings.TrimSpace(s[len(digits):]))
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(f >= 0) || strings.ContainsAny(digits, "xXeEnN_") {
		return 0, bad
	}
	factor := uint64(0)
	for _, u := range sizeUnits {
		long := strings.ToLower(u.name)
		if unit == long || unit == strings.Replace(long, "i", "", 1) || (unit == "" && u.bytes == 1) {
			factor = u.bytes
		}
	}
	if factor == 0 || f*float64(factor) >= math.MaxInt64 {
		return 0, bad
	}
	return uint64(f * float64(factor)), nil
}

func formatSize(n uint64) string {
	for _, u := range sizeUnits {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatUint(n/u.bytes, 10) + u.name
		}
	}
	return "0"
}
