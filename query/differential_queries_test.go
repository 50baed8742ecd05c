package query

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// asker makes up queries that have an answer in a world, mostly.
type asker struct {
	*rand.Rand
	world     *world
	functions []*parser.Function // of vectors
	ranged    []*parser.Function // of range vectors
	inner     int                // subqueries around
	asked     []string           // vectors of the query so far
}

func newAsker(w *world, seed uint64) *asker {
	a := &asker{Rand: rand.New(rand.NewPCG(w.seed, seed)), world: w}
	names := make([]string, 0, len(parser.Functions))
	for name := range parser.Functions {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := parser.Functions[name]
		switch {
		case slices.Contains(f.ArgTypes, parser.ValueTypeMatrix):
			a.ranged = append(a.ranged, f)
		case f.ReturnType == parser.ValueTypeVector:
			a.functions = append(a.functions, f)
		}
	}
	return a
}

func (a *asker) chance(p float64) bool { return a.Float64() < p }

// request asks something, at some time.
func (a *asker) request() Request {
	r := Request{Query: a.text()}
	span := a.world.to - a.world.from
	start := a.world.from + a.Int64N(span+a.world.interval)
	if a.chance(0.3) {
		start -= start % a.world.interval
	}
	r.Start = time.UnixMilli(start)
	r.End = r.Start
	if a.chance(0.35) {
		return r
	}
	step := pick(a.Rand, []int64{
		a.world.interval, a.world.interval, a.world.interval / 2, a.world.interval * 3, a.world.interval + 1,
		a.world.interval*7/5 + 13, a.world.interval / 5, span/10 + 1, 60_000,
	})
	count := pick(a.Rand, []int64{0, 1, 2, 5, 11, 30, 60})
	if a.chance(0.02) {
		count, step = 700, max(a.world.interval/10, 1)
	}
	end := start + count*step
	if a.chance(0.4) && step > 1 {
		end += a.Int64N(step)
	}
	r.End, r.Step = time.UnixMilli(end), time.Duration(step)*time.Millisecond
	if a.chance(0.15) {
		r.Lookback = time.Duration(pick(a.Rand, []int64{1, a.world.interval / 2, a.world.interval + 1, a.world.interval * 4})) * time.Millisecond
	}
	return r
}

func (a *asker) text() string {
	depth := 1 + a.IntN(4)
	switch {
	case a.chance(0.05):
		return a.scalar(depth)
	case a.chance(0.01):
		return a.matrix(depth)
	}
	return a.vector(depth)
}

// vector is an instant vector, at times one that the query has in another place.
func (a *asker) vector(depth int) string {
	if len(a.asked) > 0 && a.chance(0.06) {
		return pick(a.Rand, a.asked)
	}
	text := a.newVector(depth)
	a.asked = append(a.asked, text)
	return text
}

func (a *asker) newVector(depth int) string {
	if depth <= 0 {
		return a.modified(a.selector())
	}
	switch n := a.IntN(100); {
	case n < 8:
		return a.modified(a.selector())
	case n < 34:
		return a.call(pick(a.Rand, a.ranged), depth)
	case n < 52:
		return a.call(pick(a.Rand, a.functions), depth)
	case n < 74:
		return a.aggregate(depth)
	case n < 92:
		return a.binary(depth)
	case n < 94:
		return pick(a.Rand, []string{"-", "+"}) + a.grouped(a.vector(depth-1))
	case n < 96:
		return "(" + a.vector(depth-1) + ")"
	case n < 98:
		return "vector(" + a.scalar(depth-1) + ")"
	default:
		return a.quantileOfBuckets(depth)
	}
}

// quantileOfBuckets asks what classic histograms are mostly asked.
func (a *asker) quantileOfBuckets(depth int) string {
	inner := a.modified("duration_bucket" + a.matchers())
	if a.chance(0.6) {
		inner = "rate(" + a.ranges("duration_bucket"+a.matchers(), "rate") + ")"
	}
	if a.chance(0.5) {
		inner = "sum by (le" + pick(a.Rand, []string{"", ",job", ",instance"}) + ") (" + inner + ")"
	}
	return "histogram_quantile(" + a.scalar(depth-3) + ", " + inner + ")"
}

var worldMetrics = []string{
	"requests_total", "requests_total", "errors_total", "memory", "memory", "temperature", "odd", "up", "typed", "requests",
	"duration_bucket", "duration_sum", "duration_count", "latency", "latency", "size", "mixed", "mixed", "target_info", "nothing",
}

var worldLabels = map[string][]string{
	"job": {"api", "db", "web", ""}, "instance": {"0", "1", "2", ""}, "zone": {"east", "west", ""}, "code": {"200", "404", "500", ""},
	"le": {"0.5", "+Inf", ""}, "sensor": {"a", "b"}, "version": {"1.0"}, "__name__": {"memory", "requests_total"}, "none": {"", "x"},
}

var worldLabelNames = []string{"job", "instance", "zone", "code", "le", "sensor", "version", "none", "__name__"}

func (a *asker) labelName() string {
	if a.chance(0.7) {
		return pick(a.Rand, worldLabelNames[:4])
	}
	return pick(a.Rand, worldLabelNames)
}

// labelNames returns a few, perhaps none.
func (a *asker) labelNames() string {
	var names []string
	for range a.IntN(4) {
		if name := a.labelName(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

func (a *asker) selector() string {
	if a.chance(0.06) { // several metrics at once
		return pick(a.Rand, []string{`{__name__=~"memory|temperature|up"}`, `{__name__=~"requests.*"}`, `{__name__=~"latency|mixed"}`, `{job="api"}`, `{__name__!="",code="200"}`, `{__name__=~"duration_.*",le!="1"}`, `{__name__=~"m.+",instance="0"}`})
	}
	return pick(a.Rand, worldMetrics) + a.matchers()
}

func (a *asker) matchers() string {
	if a.chance(0.85) {
		return ""
	}
	name := pick(a.Rand, worldLabelNames[:7])
	v := pick(a.Rand, worldLabels[name])
	switch a.IntN(4) {
	case 0:
		return fmt.Sprintf("{%s=~%q}", name, v+"|"+pick(a.Rand, worldLabels[name]))
	case 1:
		return fmt.Sprintf("{%s!~%q}", name, v+".*")
	case 2:
		return fmt.Sprintf("{%s!=%q}", name, v)
	}
	return fmt.Sprintf("{%s=%q}", name, v)
}

// millis prints a duration.
func millis(n int64) string {
	if n < 0 {
		return "-" + millis(-n)
	}
	return strconv.FormatInt(n, 10) + "ms"
}

func (a *asker) offset() string {
	i := a.world.interval
	return millis(pick(a.Rand, []int64{i, -i, i / 2, 5 * i, -3 * i, 1, -1, i*3/2 + 1, 20 * i}))
}

// times returns @ and offset modifiers, mostly none.
func (a *asker) times() string {
	text := ""
	if a.chance(0.08) {
		switch a.IntN(4) {
		case 0:
			text = " @ start()"
		case 1:
			text = " @ end()"
		default:
			at := a.world.from + a.Int64N(a.world.to-a.world.from+1)
			text = fmt.Sprintf(" @ %d.%03d", at/1000, at%1000)
		}
	}
	if a.chance(0.12) {
		offset := " offset " + a.offset()
		if a.chance(0.05) {
			offset = pick(a.Rand, []string{" offset step()", " offset (range() / 2)", " offset -step()"})
		}
		if a.chance(0.3) {
			return offset + text
		}
		text += offset
	}
	return text
}

// modified adds modifiers to an instant selector.
func (a *asker) modified(selector string) string {
	if a.chance(0.03) {
		selector += pick(a.Rand, []string{" smoothed", " smoothed", " anchored"})
	}
	return selector + a.times()
}

// ranges makes a range vector of a selector.
func (a *asker) ranges(selector, function string) string {
	i := a.world.interval
	span := millis(pick(a.Rand, []int64{i, 2 * i, 2*i + 1, 4 * i, 5 * i, 5 * i, 10 * i, 10 * i, 25 * i, i*7/2 + 3, i / 2, 1 + a.Int64N(i), 300_000}))
	if a.chance(0.02) {
		span = pick(a.Rand, []string{"range() + 1m", "step() * 3", "max_of(step(), 1m)", "1m + " + span})
	}
	extended := ""
	if a.chance(0.06) {
		extended = pick(a.Rand, []string{" anchored", " smoothed"})
	}
	switch function {
	case "rate", "increase", "delta", "changes", "resets":
		if a.chance(0.12) {
			extended = pick(a.Rand, []string{" anchored", " smoothed"})
		}
	}
	return selector + "[" + span + "]" + extended + a.times()
}

// matrix is a range vector, at times a subquery.
func (a *asker) matrix(depth int) string { return a.rangeOf(depth, "") }

func (a *asker) rangeOf(depth int, function string) string {
	if a.chance(0.75) || depth < 1 || a.inner > 1 {
		return a.ranges(a.selector(), function)
	}
	a.inner++
	defer func() { a.inner-- }()
	i := a.world.interval
	steps := int64(1 + a.IntN(12))
	step := pick(a.Rand, []int64{i, i, i / 2, 2 * i, i*4/3 + 1, 60_000})
	span := steps*step + a.Int64N(step)
	text := millis(step)
	if step >= 60_000 && a.chance(0.5) {
		step, text = 60_000, ""
		span = steps*step + a.Int64N(step)
	}
	return a.grouped(a.vector(depth-1)) + "[" + millis(span) + ":" + text + "]" + a.times()
}

// grouped puts what may bind loosely in parentheses.
func (a *asker) grouped(text string) string { return "(" + text + ")" }

func (a *asker) number() string {
	if a.chance(0.15) {
		return pick(a.Rand, []string{"NaN", "Inf", "-Inf", "-0", "1e300", "5e-324", "0x1f", "5m", "1e16"})
	}
	return pick(a.Rand, []string{"0", "1", "2", "0.5", "0.9", "-1", "3", "100", "0.1", "10", "-2.5", "1.5", "0.99", "7"})
}

func (a *asker) scalar(depth int) string {
	if depth <= 0 || a.chance(0.5) {
		return a.number()
	}
	switch a.IntN(8) {
	case 0:
		return "time()"
	case 1:
		return "scalar(" + a.vector(depth-1) + ")"
	case 2:
		return "scalar(sum(" + a.vector(depth-1) + "))"
	case 3:
		return a.grouped(a.scalar(depth-1)) + pick(a.Rand, []string{" + ", " - ", " * ", " / ", " % ", " ^ ", " atan2 ", " == bool ", " > bool "}) + a.grouped(a.scalar(depth-1))
	case 4:
		return pick(a.Rand, []string{"pi()", "start()", "end()", "step()", "range()"})
	case 5:
		return pick(a.Rand, []string{"max_of(", "min_of("}) + a.scalar(depth-1) + ", " + a.scalar(depth-1) + ")"
	case 6:
		return "-(" + a.scalar(depth-1) + ")"
	default:
		return "scalar(" + a.modified(pick(a.Rand, worldMetrics)+`{instance="0"}`) + ")"
	}
}

// call calls f with arguments of its signature.
func (a *asker) call(f *parser.Function, depth int) string {
	n := len(f.ArgTypes)
	switch {
	case f.Variadic > 0 && f.Name != "histogram_quantiles" && f.Name != "label_join":
		n = len(f.ArgTypes) - a.IntN(2)
	case f.Variadic < 0:
		n = len(f.ArgTypes) - 1 + a.IntN(3)
	case f.Name == "histogram_quantiles":
		n = 3 + a.IntN(3)
	}
	args := make([]string, n)
	for i := range args {
		kind := f.ArgTypes[min(i, len(f.ArgTypes)-1)]
		switch kind {
		case parser.ValueTypeMatrix:
			args[i] = a.rangeOf(depth, f.Name)
		case parser.ValueTypeVector:
			args[i] = a.argument(f.Name, i, depth)
		case parser.ValueTypeString:
			args[i] = strconv.Quote(a.word(f.Name, i))
		default:
			args[i] = a.scalar(depth - 2)
		}
	}
	if f.Name == "double_exponential_smoothing" && a.chance(0.9) {
		args[1], args[2] = "0.3", "0.6"
	}
	return f.Name + "(" + strings.Join(args, ", ") + ")"
}

// argument is a vector for a function, of what it is made for in most cases.
func (a *asker) argument(function string, i, depth int) string {
	switch {
	case function == "info" && i == 1:
		return pick(a.Rand, []string{`{version=~".+"}`, `{__name__="target_info"}`, `{__name__=~".*_info"}`, `{version="1.0"}`})
	case strings.HasPrefix(function, "histogram_") && a.chance(0.6):
		metric := pick(a.Rand, []string{"latency", "size", "mixed", "duration_bucket"})
		if a.chance(0.5) {
			return a.modified(metric + a.matchers())
		}
		return pick(a.Rand, []string{"rate", "increase", "delta", "sum_over_time", "last_over_time"}) + "(" + a.ranges(metric, "") + ")"
	case strings.HasSuffix(function, "timestamp") && a.chance(0.5):
		return a.modified(a.selector())
	}
	return a.vector(depth - 1)
}

// word is an argument of type string.
func (a *asker) word(function string, i int) string {
	switch function {
	case "label_replace":
		switch i {
		case 1:
			return pick(a.Rand, []string{"job", "new", "__name__", "instance", "", "le"})
		case 2:
			return pick(a.Rand, []string{"$1", "x", "", "a-$1-$2", "${name}", "0"})
		case 3:
			return a.labelName()
		}
		return pick(a.Rand, []string{"(.*)", "", "a(.+)", "(?P<name>.)(.*)", "(", ".*", "api|db"})
	case "label_join":
		switch i {
		case 1:
			return pick(a.Rand, []string{"job", "new", "__name__", "code"})
		case 2:
			return pick(a.Rand, []string{"-", "", "/"})
		}
	case "histogram_quantiles":
		return pick(a.Rand, []string{"q", "quantile", "le", "job"})
	}
	return a.labelName()
}

var aggregations = []string{
	"sum", "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar",
	"topk", "bottomk", "quantile", "count_values", "limitk", "limit_ratio",
}

func (a *asker) aggregate(depth int) string {
	op := pick(a.Rand, aggregations)
	by := ""
	switch a.IntN(4) {
	case 0:
	case 1:
		by = " without (" + a.labelNames() + ") "
	default:
		by = " by (" + a.labelNames() + ") "
	}
	param := ""
	switch op {
	case "topk", "bottomk", "limitk":
		param = a.amount(depth) + ", "
	case "quantile":
		param = a.scalar(depth-1) + ", "
	case "limit_ratio":
		param = pick(a.Rand, []string{"0.5", "-0.5", "0.1", "1", "-1", "0", "1.5", "-0.9", "NaN"}) + ", "
	case "count_values":
		param = strconv.Quote(pick(a.Rand, []string{"v", "job", "__name__", "bad-name", ""})) + ", "
	}
	return op + by + "(" + param + a.vector(depth-1) + ")"
}

// amount is a number of series.
func (a *asker) amount(depth int) string {
	if a.chance(0.85) {
		return pick(a.Rand, []string{"1", "2", "3", "5", "0", "-1", "100", "1.9"})
	}
	return a.scalar(depth - 1)
}

var (
	arithmetic = []string{"+", "-", "*", "/", "%", "^", "atan2"}
	comparison = []string{"==", "!=", ">", "<", ">=", "<="}
	sets       = []string{"and", "or", "unless"}
	trims      = []string{"</", ">/"}
)

func (a *asker) binary(depth int) string {
	left, right := a.grouped(a.vector(depth-1)), a.grouped(a.vector(depth-1))
	if a.chance(0.5) { // two metrics that match
		left, right = a.grouped(a.alike(depth-1)), a.grouped(a.alike(depth-1))
	}
	op, bool := pick(a.Rand, arithmetic), ""
	switch n := a.IntN(10); {
	case n < 3:
		if op = pick(a.Rand, comparison); a.chance(0.5) {
			bool = " bool"
		}
	case n == 3:
		op = pick(a.Rand, trims)
	case n < 6:
		return left + " " + pick(a.Rand, sets) + a.matching() + right
	}
	switch a.IntN(6) {
	case 0:
		return left + " " + op + bool + " " + a.grouped(a.scalar(depth-1))
	case 1:
		return a.grouped(a.scalar(depth-1)) + " " + op + bool + " " + right
	}
	matching := a.matching()
	if matching != " " && a.chance(0.35) {
		matching += pick(a.Rand, []string{"group_left", "group_right"}) + "(" + a.labelNames() + ") "
	}
	if a.chance(0.15) {
		matching += pick(a.Rand, []string{"fill(0) ", "fill_left(1) ", "fill_right(-2) ", "fill(NaN) ", "fill_left(1) fill_right(5) "})
	}
	return left + " " + op + bool + matching + right
}

// matching is on or ignoring, or nothing.
func (a *asker) matching() string {
	switch a.IntN(5) {
	case 0, 1:
		return " "
	case 2:
		return " ignoring(" + a.labelNames() + ") "
	default:
		names := a.labelNames()
		if a.chance(0.5) {
			names = pick(a.Rand, []string{"instance", "job,instance", "job", "instance,code"})
		}
		return " on(" + names + ") "
	}
}

// alike gives vectors whose labels often match those of another.
func (a *asker) alike(depth int) string {
	if depth > 0 && a.chance(0.5) {
		return pick(a.Rand, []string{"sum", "avg", "max"}) + " by (" + pick(a.Rand, []string{"instance", "job,instance", "job"}) + ") (" + a.vector(depth-1) + ")"
	}
	return a.modified(pick(a.Rand, []string{"memory", "up", "temperature", "requests", "latency", "mixed", "odd", "size", "requests_total"}))
}
