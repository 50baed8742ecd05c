package api

import (
	"strconv"

	"github.com/prometheus/prometheus/util/stats"

	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/query/exec"
	"github.com/varve-db/varve/query/plan"
)

// appendStats appends what a query cost: Prometheus's members, and ours in members
// of their own, storage and execution.
func appendStats(dst []byte, result *query.Result) []byte {
	dst = append(dst, `{"timings":{`...)
	for i, timing := range []struct {
		name string
		of   stats.QueryTiming
	}{
		{"evalTotalTime", stats.EvalTotalTime},
		{"resultSortTime", stats.ResultSortTime},
		{"queryPreparationTime", stats.QueryPreparationTime},
		{"innerEvalTime", stats.InnerEvalTime},
		{"execQueueTime", stats.ExecQueueTime},
		{"execTotalTime", stats.ExecTotalTime},
	} {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), timing.name...), `":`...)
		dst = appendNumber(dst, result.Stats.Timers.GetTimer(timing.of).Duration())
	}
	samples := result.Stats.Samples
	dst = append(dst, `},"samples":{`...)
	dst = appendPerStep(dst, "totalQueryableSamplesPerStep", samples, samples.TotalSamplesPerStep)
	dst = strconv.AppendInt(append(dst, `"totalQueryableSamples":`...), samples.TotalSamples, 10)
	dst = append(dst, ',')
	dst = appendPerStep(dst, "samplesReadPerStep", samples, samples.SamplesReadPerStep)
	dst = strconv.AppendInt(append(dst, `"samplesRead":`...), samples.SamplesRead, 10)
	dst = strconv.AppendInt(append(dst, `,"seriesTouched":`...), samples.TotalSeries, 10)
	dst = strconv.AppendInt(append(dst, `,"peakSamples":`...), int64(samples.PeakSamples), 10)
	dst = strconv.AppendInt(append(dst, `},"storage":{"series":`...), result.Budget.Series(), 10)
	dst = strconv.AppendInt(append(dst, `,"chunkBytes":`...), result.Budget.Bytes(), 10)
	dst = appendWork(append(dst, `},"execution":`...), result.Work)
	if result.Plan != nil {
		dst = appendCosts(append(dst, `,"operators":`...), result.Costs, result.Plan.Root)
	}
	return append(dst, '}')
}

// appendCosts appends what the operators of a plan took, as a tree.
func appendCosts(dst []byte, costs map[*plan.Node]exec.Cost, n *plan.Node) []byte {
	o := openObject(dst)
	o.text("operator", string(n.Kind))
	o.text("expr", n.Expr.String())
	o.cost(costs, n)
	o.children(n, func(dst []byte, child *plan.Node) []byte { return appendCosts(dst, costs, child) })
	return o.close()
}

// cost appends what the operator of a node took, if it has one of its own.
func (o *object) cost(costs map[*plan.Node]exec.Cost, n *plan.Node) {
	c, ok := costs[n]
	if !ok {
		return
	}
	o.name("execution")
	in := openObject(o.dst)
	in.int("series", c.Series)
	in.int("rows", c.Rows)
	in.int("samples", c.Samples)
	in.int("samplesDecoded", c.Decoded)
	in.int("peakBytes", c.Peak*query.PointBytes)
	in.number("busySeconds", c.Busy.Seconds())
	o.dst = in.close()
}

// appendWork appends what was done for a query.
func appendWork(dst []byte, w query.Work) []byte {
	o := openObject(dst)
	o.text("executor", w.Executor)
	o.int("rows", w.Rows)
	o.int("samples", w.Samples)
	o.int("samplesDecoded", w.Decoded)
	o.int("windowsRead", w.Windows)
	o.int("bytesRead", w.Bytes)
	o.int("seriesRead", w.Series)
	o.int("peakPoints", w.Peak)
	o.int("peakBytes", w.Peak*query.PointBytes)
	o.number("busySeconds", w.Busy.Seconds())
	return o.close()
}

func (o *object) number(name string, f float64) {
	o.name(name)
	o.dst = appendNumber(o.dst, f)
}

// appendPerStep appends a member with the counts of each step, and a comma, if
// steps were counted.
func appendPerStep(dst []byte, name string, samples *stats.QuerySamples, counts []int64) []byte {
	if !samples.EnablePerStepStats || len(counts) == 0 {
		return dst
	}
	dst = append(append(append(dst, '"'), name...), `":[`...)
	for i, n := range counts {
		if i > 0 {
			dst = append(dst, ',')
		}
		at := samples.StartTimestamp + int64(i)*samples.Interval
		dst = append(appendNumber(append(dst, '['), float64(at)/1000), ',')
		dst = append(strconv.AppendInt(dst, n, 10), ']')
	}
	return append(dst, "],"...)
}
