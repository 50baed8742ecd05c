package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/model"
	"github.com/valyala/fasthttp"
	"go.yaml.in/yaml/v3"

	"github.com/varve-db/varve/kv/pebblekv"
	"github.com/varve-db/varve/retention"
	"github.com/varve-db/varve/series"
	"github.com/varve-db/varve/server/auth"
	"github.com/varve-db/varve/tenant"
	"github.com/varve-db/varve/tsdb"
	"github.com/varve-db/varve/tsdb/block"
)

// policiesKey is the one key among the settings of the file that has a list:
//
//	retention:
//	  time: 90d
//	  policies:
//	    - {tenant: team-a, match: ['{env="dev"}'], keep: 7d}
const policiesKey = "retention.policies"

// parsePolicies reads the list from the file at path; nil: there is none.
func parsePolicies(path string, content []byte) (*retention.Rules, error) {
	var document yaml.Node
	if yaml.Unmarshal(content, &document) != nil || len(document.Content) == 0 {
		return nil, nil // parseYAML says what is wrong
	}
	n := findKey(document.Content[0], policiesKey)
	if n == nil {
		return nil, nil
	}
	list, err := retention.Parse(path, n)
	return &list, err
}

// findKey finds the value of a dotted key, which may be nested.
func findKey(n *yaml.Node, name string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if key == name {
			return value
		}
		if rest, ok := strings.CutPrefix(name, key+"."); ok {
			if found := findKey(value, rest); found != nil {
				return found
			}
		}
	}
	return nil
}

// policy is what the settings say of retention.
func policy(c Config) retention.Policy {
	p := retention.Policy{Keep: c.Retention.Time, BytesMax: c.Retention.Size, KeepMin: c.Retention.TimeMin}
	if c.Retention.Policies != nil {
		p.Rules = *c.Retention.Policies
	}
	return p
}

// lifetimes says to the database what the policy does, in the same order; the last one
// is that of what no rule is about.
func lifetimes(p retention.Policy, known *tenant.Registry) []tsdb.Lifetime {
	var list []tsdb.Lifetime
	for i := range p.Rules {
		r := &p.Rules[i]
		list = append(list, tsdb.Lifetime{
			Applies: func(id series.TenantID, resolution uint8) bool {
				return r.About(tenantName(known, id), resolutionOf(resolution))
			},
			Selectors: r.Selectors, Keep: r.Keep,
		})
	}
	return append(list, tsdb.Lifetime{Keep: p.Keep})
}

func tenantName(known *tenant.Registry, id series.TenantID) string {
	if t := known.ByID(id); t != nil {
		return t.Name
	}
	return ""
}

func resolutionOf(resolution uint8) retention.Resolution {
	return retention.Resolution(block.ID{Resolution: resolution}.WindowWidth())
}

// partitions shows the database to retention.
type partitions struct {
	db    *tsdb.DB
	known *tenant.Registry
}

func retained(list []tsdb.Partition, known *tenant.Registry) []retention.Partition {
	var out []retention.Partition
	for _, p := range list {
		out = append(out, retention.Partition{
			Tenant: tenantName(known, p.Tenant), Number: uint32(p.Tenant), Resolution: resolutionOf(p.Resolution),
			Start: p.Start, End: p.End, Bytes: p.Bytes, Level: p.Resolution,
		})
	}
	return out
}

// Partitions implements retention.Store.
func (p partitions) Partitions() ([]retention.Partition, error) {
	list, err := p.db.Partitions()
	return retained(list, p.known), err
}

// DropBefore implements retention.Store.
func (p partitions) DropBefore(ctx context.Context, t int64) error { return p.db.DropBefore(ctx, t) }

// Drop implements retention.Store.
func (p partitions) Drop(ctx context.Context, parts []retention.Partition) error {
	var list []tsdb.Partition
	for _, q := range parts {
		list = append(list, tsdb.Partition{Tenant: series.TenantID(q.Number), Resolution: q.Level, Start: q.Start})
	}
	return p.db.Drop(ctx, list)
}

// Believe implements retention.Store.
func (p partitions) Believe(now time.Time) { p.db.Believe(now) }

// Erase implements retention.Store.
func (p partitions) Erase(ctx context.Context) (bool, error) { return p.db.EraseExpired(ctx) }

// retentionReport is what retention would remove now.
type retentionReport struct {
	// AsOf is the time that is acted upon: behind the clock where that is in doubt.
	AsOf     time.Time     `json:"asOf"`
	Policies []policyGoing `json:"policies"` // the last is retention.time
	Size     sizeGoing     `json:"size"`
}

// policyGoing is what goes for a policy: of the series that it is the first to be about,
// what they have in partitions that are old enough as a whole.
type policyGoing struct {
	Tenant     string   `json:"tenant,omitempty"`
	Match      []string `json:"match,omitempty"`
	Resolution string   `json:"resolution"`
	Keep       string   `json:"keep"`
	Partitions int      `json:"partitions"`
	// Series counts one once for every generation of a partition that has it.
	Series  uint64 `json:"series"`
	Samples uint64 `json:"samples"`
	// BytesEstimated is the samples' share of what their partitions take on disk.
	BytesEstimated uint64 `json:"bytesEstimated"`
}

// sizeGoing is what goes besides for retention.size.
type sizeGoing struct {
	Limit      uint64 `json:"limit"` // 0: none
	Partitions int    `json:"partitions"`
	Bytes      uint64 `json:"bytes"`
}

// describeRetention makes the report of what lifetimes give up.
func describeRetention(p retention.Policy, use []tsdb.LifetimeUse, parts []retention.Partition, now time.Time) retentionReport {
	r := retentionReport{AsOf: now.UTC(), Size: sizeGoing{Limit: p.BytesMax}}
	for i, u := range use {
		g := policyGoing{
			Resolution: retention.Any.String(), Keep: retention.KeepText(p.Keep),
			Partitions: u.Partitions, Series: u.Series, Samples: u.Samples, BytesEstimated: u.BytesEstimated,
		}
		if i < len(p.Rules) {
			rule := &p.Rules[i]
			g.Tenant, g.Match, g.Resolution, g.Keep = rule.Tenant, rule.Match, rule.Resolution.String(), retention.KeepText(rule.Keep)
		}
		r.Policies = append(r.Policies, g)
	}
	for _, part := range retention.ExpiredBySize(parts, p, now) {
		r.Size.Partitions++
		r.Size.Bytes += part.Bytes
	}
	return r
}

// preview answers what retention would remove.
type preview struct {
	db       *tsdb.DB
	known    *tenant.Registry
	policy   func() retention.Policy
	believed func() time.Time
}

func (v *preview) route() route {
	return route{methods: post, path: "/api/v1/admin/retention/dry_run", handle: v.dryRun, scope: auth.Admin, shared: true, bodyBytesMax: 1 << 20}
}

// dryRun takes the policies in the body, or else those in force.
func (v *preview) dryRun(ctx *fasthttp.RequestCtx) {
	p := v.policy()
	if body := ctx.PostBody(); len(body) > 0 {
		var err error
		if p.Rules, err = retention.ParseText(body); err != nil {
			failAPI(ctx, kindBadData, err.Error())
			return
		}
	}
	now := v.believed()
	use, err := v.db.Expired(ctx, lifetimes(p, v.known), now)
	var parts []tsdb.Partition
	if err == nil {
		parts, err = v.db.Partitions()
	}
	if err != nil {
		failAPI(ctx, kindInternal, "dry run of retention: "+err.Error())
		return
	}
	succeedAPI(ctx, describeRetention(p, use, retained(parts, v.known), now))
}

// RetentionPreview tells what retention would remove of a data folder that no server
// uses. What waits in the log is left out.
type RetentionPreview struct {
	Config Config
	Now    func() time.Time
	JSON   bool // write the report as JSON
	Out    io.Writer
}

// Run writes the report.
func (v RetentionPreview) Run(ctx context.Context) (err error) {
	dir := filepath.Join(v.Config.Storage.Path, storeFolder)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	store, err := pebblekv.Open(dir, pebblekv.Options{ReadOnly: true, Reserve: -1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	known, err := tenant.Open(ctx, store, tenant.Options{Max: -1, Now: v.Now})
	if err != nil {
		return err
	}
	p := policy(v.Config)
	found, err := tsdb.PartitionsIn(ctx, store)
	if err != nil {
		return err
	}
	parts := retained(found, known)
	now := retention.BelievedAtStart(parts, v.Now())
	use, err := tsdb.ExpiredIn(ctx, store, lifetimes(p, known), now)
	if err != nil {
		return err
	}
	text, err := json.Marshal(describeRetention(p, use, parts, now))
	if err != nil {
		return err
	}
	return WriteRetention(v.Out, text, v.JSON)
}

// WriteRetention writes a report, which is JSON, for a person, or as it is.
func WriteRetention(w io.Writer, report []byte, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(w, "%s\n", report)
		return err
	}
	var r retentionReport
	if err := json.Unmarshal(report, &r); err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "as of %s\n\nkeep\ttenant\tresolution\tmatch\tpartitions\tseries\tsamples\tbytes (estimated)\n", r.AsOf.Format(time.RFC3339))
	for i, p := range r.Policies {
		match := strings.Join(p.Match, " ")
		if i == len(r.Policies)-1 {
			match = "(all others)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", p.Keep, p.Tenant, p.Resolution, match, p.Partitions, p.Series, p.Samples, byteText(p.BytesEstimated))
	}
	if r.Size.Limit > 0 {
		fmt.Fprintf(t, "\nabove %s: %d partitions, %s\n", byteText(r.Size.Limit), r.Size.Partitions, byteText(r.Size.Bytes))
	}
	return t.Flush()
}

func (r *RetentionConfig) validate(width time.Duration) error {
	return errors.Join(
		check(r.Time == 0 || r.Time >= width,
			"retention.time is %s, shorter than one partition (storage.partition-width=%s): keep at least as long, or make partitions narrower",
			model.Duration(r.Time), model.Duration(width)),
		check(r.Time == 0 || r.TimeMin <= r.Time, "retention.min-time is %s, longer than retention.time (%s) keeps anything",
			model.Duration(r.TimeMin), model.Duration(r.Time)),
	)
}
