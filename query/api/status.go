package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// BuildInfo is what the server says about itself. Version is the level of
// Prometheus's API that it keeps to, which clients decide by; VarveVersion is its
// own. There are no features in it: their presence would promise an API for
// editing rules.
type BuildInfo struct {
	Version, VarveVersion                           string
	Revision, Branch, BuildUser, BuildDate, Runtime string
}

// application is how clients tell this server from others with the same API.
const application = "Varve"

// apiVersion is the release of Prometheus whose API this is.
const apiVersion = "3.16.0"

func (a *API) buildInfo(context.Context, *call) (answer, error) {
	b := a.options.Build
	if b.Version == "" {
		b.Version = apiVersion
	}
	return answer{data: text(func(dst []byte) []byte {
		o := openObject(dst)
		o.text("version", b.Version)
		o.text("revision", b.Revision)
		o.text("branch", b.Branch)
		o.text("buildUser", b.BuildUser)
		o.text("buildDate", b.BuildDate)
		o.text("goVersion", b.Runtime)
		o.text("application", application)
		o.text("varveVersion", b.VarveVersion)
		return o.close()
	})}, nil
}

// RuntimeInfo is how the process is doing.
type RuntimeInfo struct {
	StartTime, ServerTime, LastConfigTime time.Time
	WorkingDirectory, Hostname            string
	ReloadConfigSuccess                   bool
	CorruptionCount                       int64
	GoroutineCount, MaxProcs              int
	MemoryLimit                           int64 // GOMEMLIMIT
	GOGC, GODEBUG                         string
	StorageRetention                      string
}

func (a *API) runtimeInfo(context.Context, *call) (answer, error) {
	var info RuntimeInfo
	if a.deps.Runtime != nil {
		var err error
		if info, err = a.deps.Runtime(); err != nil {
			return answer{}, &failure{kindInternal, err}
		}
	}
	return answer{data: text(func(dst []byte) []byte {
		o := openObject(dst)
		o.time("startTime", info.StartTime)
		o.text("CWD", info.WorkingDirectory)
		o.text("hostname", info.Hostname)
		o.time("serverTime", info.ServerTime)
		o.bool("reloadConfigSuccess", info.ReloadConfigSuccess)
		o.time("lastConfigTime", info.LastConfigTime)
		o.int("corruptionCount", info.CorruptionCount)
		o.int("goroutineCount", int64(info.GoroutineCount))
		o.int("GOMAXPROCS", int64(info.MaxProcs))
		o.int("GOMEMLIMIT", info.MemoryLimit)
		o.text("GOGC", info.GOGC)
		o.text("GODEBUG", info.GODEBUG)
		o.text("storageRetention", info.StorageRetention)
		return o.close()
	})}, nil
}

func (o *object) time(name string, t time.Time) { o.text(name, t.Format(time.RFC3339Nano)) }

func (a *API) flags(context.Context, *call) (answer, error) {
	return answer{data: text(func(dst []byte) []byte {
		o := openObject(dst)
		for _, name := range slices.Sorted(maps.Keys(a.deps.Flags)) {
			o.text(name, a.deps.Flags[name])
		}
		return o.close()
	})}, nil
}

func (a *API) config(context.Context, *call) (answer, error) {
	yaml := ""
	if a.deps.Config != nil {
		yaml = a.deps.Config()
	}
	return answer{data: text(func(dst []byte) []byte {
		o := openObject(dst)
		o.text("yaml", yaml)
		return o.close()
	})}, nil
}

// Cardinality is how much of what the storage's index holds.
type Cardinality struct {
	Series     uint64
	LabelPairs int
	Chunks     int64
	// TimeMin and TimeMax bound the samples, in milliseconds.
	TimeMin, TimeMax int64
	// The largest counts first.
	SeriesByMetric, ValuesByLabel, BytesByLabel, SeriesByPair []Count
	Churn                                                     Churn
}

// Churn is what came into the storage's index since a moment: how many series,
// and about how many of which, the most first.
type Churn struct {
	Since                                       time.Time
	Series                                      uint64
	SeriesByMetric, ValuesByLabel, SeriesByPair []Count
}

// Count is how much there is of something.
type Count struct {
	Name  string
	Value uint64
}

func (a *API) cardinality(ctx context.Context, c *call) (answer, error) {
	const limitMax = 10_000
	limit := 10
	if s := c.params.get("limit"); s != "" {
		var err error
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 {
			return answer{}, badData(errors.New("limit must be a positive number"))
		}
		if limit > limitMax {
			return answer{}, badData(fmt.Errorf("limit must not exceed %d", limitMax))
		}
	}
	var counted Cardinality
	if c.from.Cardinality != nil {
		ctx, _, leave, err := a.deps.Engine.Admit(ctx, 0)
		if err != nil {
			return answer{}, err
		}
		defer leave()
		if counted, err = c.from.Cardinality(ctx, limit); err != nil {
			return answer{}, &failure{kindInternal, err}
		}
	}
	return answer{data: text(func(dst []byte) []byte { return appendCardinality(dst, counted, limit) })}, nil
}

func appendCardinality(dst []byte, c Cardinality, limit int) []byte {
	o := openObject(dst)
	o.name("headStats")
	head := openObject(o.dst)
	head.name("numSeries")
	head.dst = strconv.AppendUint(head.dst, c.Series, 10)
	head.int("numLabelPairs", int64(c.LabelPairs))
	head.int("chunkCount", c.Chunks)
	head.int("minTime", c.TimeMin)
	head.int("maxTime", c.TimeMax)
	o.dst = head.close()
	o.counts("seriesCountByMetricName", c.SeriesByMetric, limit)
	o.counts("labelValueCountByLabelName", c.ValuesByLabel, limit)
	o.counts("memoryInBytesByLabelName", c.BytesByLabel, limit)
	o.counts("seriesCountByLabelValuePair", c.SeriesByPair, limit)
	o.name("churn")
	o.dst = appendChurn(o.dst, c.Churn, limit)
	return o.close()
}

func appendChurn(dst []byte, c Churn, limit int) []byte {
	o := openObject(dst)
	o.time("since", c.Since)
	o.name("seriesCreated")
	o.dst = strconv.AppendUint(o.dst, c.Series, 10)
	o.counts("seriesCreatedByMetricName", c.SeriesByMetric, limit)
	o.counts("valuesCreatedByLabelName", c.ValuesByLabel, limit)
	o.counts("seriesCreatedByLabelValuePair", c.SeriesByPair, limit)
	return o.close()
}

func (o *object) counts(name string, list []Count, limit int) {
	o.name(name)
	o.dst = append(o.dst, '[')
	for i, count := range list[:min(len(list), limit)] {
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		one := openObject(o.dst)
		one.text("name", count.Name)
		one.name("value")
		one.dst = strconv.AppendUint(one.dst, count.Value, 10)
		o.dst = one.close()
	}
	o.dst = append(o.dst, ']')
}

// features lists what is on: the query language's, this API's and what the server
// adds.
func (a *API) features(context.Context, *call) (answer, error) {
	all := a.deps.Engine.Features()
	for _, more := range []map[string]map[string]bool{{"api": {
		"label_values_match": true, "query_warnings": true, "query_stats": true,
		"time_range_series": true, "time_range_labels": true, "exclude_alerts": true,
		"admin": false, "lifecycle": false, "query_cost": false, "search": false,
	}}, a.options.Features} {
		for category, names := range more {
			if all[category] == nil {
				all[category] = map[string]bool{}
			}
			maps.Copy(all[category], names)
		}
	}
	return answer{data: text(func(dst []byte) []byte { return appendFeatures(dst, all) })}, nil
}

// appendFeatures appends names as they are: operators such as >= among them.
func appendFeatures(dst []byte, all map[string]map[string]bool) []byte {
	dst = append(dst, '{')
	for i, category := range slices.Sorted(maps.Keys(all)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, category, escapePlain), ":{"...)
		for j, name := range slices.Sorted(maps.Keys(all[category])) {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, name, escapePlain), ':')
			dst = strconv.AppendBool(dst, all[category][name])
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}
