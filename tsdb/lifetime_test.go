package tsdb

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varve-db/varve/series"
)

// parseLifetime reads "tenant selector duration", where tenant may be any, and
// selector all.
func parseLifetime(line string) (Lifetime, error) {
	var l Lifetime
	who, rest, _ := strings.Cut(line, " ")
	at := strings.LastIndexByte(rest, ' ')
	if who != "any" {
		n, err := strconv.ParseUint(who, 10, 32)
		if err != nil {
			return l, err
		}
		l.Applies = func(tenant series.TenantID, _ uint8) bool { return tenant == series.TenantID(n) }
	}
	if text := strings.TrimSpace(rest[:at]); text != "all" {
		ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(text)
		if err != nil {
			return l, err
		}
		l.Selectors = [][]*labels.Matcher{ms}
	}
	var err error
	l.Keep, err = time.ParseDuration(rest[at+1:])
	return l, err
}

func (s *script) keep(d *datadriven.TestData) error {
	var list []Lifetime
	for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
		l, err := parseLifetime(line)
		if err != nil {
			return err
		}
		list = append(list, l)
	}
	s.db.SetLifetimes(list)
	return nil
}

// erase rewrites what is worth it, partition by partition.
func (s *script) erase(ctx context.Context) (string, error) {
	for n := 0; ; n++ {
		if more, err := s.db.EraseExpired(ctx); err != nil || !more {
			return fmt.Sprintf("%d partitions\n", n), err
		}
	}
}

func (s *script) expired(ctx context.Context) (string, error) {
	use, err := s.db.Expired(ctx, *s.db.lifetimes.Load(), scriptOrigin.Add(s.now))
	var out strings.Builder
	for i, u := range use {
		fmt.Fprintf(&out, "%d: partitions %d, series %d, samples %d\n", i+1, u.Partitions, u.Series, u.Samples)
	}
	return out.String(), err
}
