package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/varve-db/varve/bench"
)

// kind is what a question is asked of.
type kind string

const (
	rangeQuery   kind = "range"
	instantQuery kind = "instant"
	labelValues  kind = "label values"
)

// question is one row of the table.
type question struct {
	set    string // data set
	title  string
	kind   kind
	query  string
	span   time.Duration
	step   time.Duration
	target float64 // of Varve's time to that of the faster peer
	// ties says that equal values may be told apart by any of their series, so
	// that answers are compared without labels.
	ties bool
}

const (
	hour   = time.Hour
	minute = time.Minute
)

// questions are all questions, in the order of the table.
func questions() []question {
	return slices.Concat(mainQuestions("main"), cpuQuestions(), []question{
		{set: "histogram", title: "quantile of a histogram", kind: rangeQuery, query: `histogram_quantile(0.99, sum by (le) (rate(b_bucket[5m])))`, span: 6 * hour, step: minute, target: 0.35},
	}, podQuestions())
}

func mainQuestions(set string) []question {
	all := []question{
		{title: "sum of rates", query: `sum(rate(c[5m]))`, target: 0.35},
		{title: "rates by host", query: `sum by (h) (rate(c[5m]))`, target: 0.35},
		{title: "quantile over time", query: `quantile_over_time(0.95, m[30m])`, target: 0.12},
		{title: "join", query: `sum(d * on (h) group_left rate(c[5m]))`, target: 0.25},
		{title: "average by data centre", query: `avg by (dc) (m)`, target: 0.25},
		{title: "top ten", query: `topk(10, m)`, target: 0.15, ties: true},
		{title: "raw", query: `m`, target: 0.3},
		{title: "subquery of 143 series", query: `max_over_time(rate(c{dc="dc3"}[5m])[1h:1m])`, target: 0.3},
		{title: "rates now", kind: instantQuery, query: `rate(c[5m])`, target: 0.5},
		{title: "top five rates now", kind: instantQuery, query: `topk(5, rate(c[5m]))`, target: 0.5, ties: true},
		{title: "increase over all", kind: instantQuery, query: `sum(increase(c[6h]))`, target: 0.4},
	}
	for i := range all {
		all[i].set = set
		if all[i].kind == "" {
			all[i].kind, all[i].span, all[i].step = rangeQuery, 6*hour, minute
		}
	}
	return all
}

func cpuQuestions() []question {
	var hosts []string
	for host := 10; host < 18; host++ {
		hosts = append(hosts, fmt.Sprintf("host-%04d", host))
	}
	eight := fmt.Sprintf(`max_over_time(cpu{field=~"usage_user|usage_system|usage_idle|usage_nice|usage_iowait",h=~"%s"}[1m])`, strings.Join(hosts, "|"))
	all := []question{
		{title: "hourly averages of ten metrics", query: `avg_over_time(cpu[1h])`, span: 12 * hour, step: hour, target: 0.25},
		{title: "hourly averages of one metric", query: `avg_over_time(cpu{field="usage_user"}[1h])`, span: 12 * hour, step: hour, target: 0.25},
		{title: "hourly maxima each minute", query: `max_over_time(cpu{field="usage_user"}[1h])`, span: 12 * hour, step: minute, target: 0.25},
		{title: "one series, 1 h", query: `cpu{field="usage_user",h="host-0007"}`, span: hour, step: 10 * time.Second, target: 0.6},
		{title: "one series, 12 h", query: `cpu{field="usage_user",h="host-0007"}`, span: 12 * hour, step: minute, target: 0.6},
		{title: "five metrics of eight hosts, 1 h", query: eight, span: hour, step: minute, target: 0.6},
	}
	for i := range all {
		all[i].set, all[i].kind = "tsbs", rangeQuery
	}
	return all
}

func podQuestions() []question {
	all := []question{
		{title: "count of all series", query: `count({__name__=~".+"})`, target: 0.1},
		{title: "count by namespace", query: `count by (namespace) ({__name__=~".+"})`, target: 0.13},
		{title: "one pod", query: fmt.Sprintf(`{pod=%q}`, bench.PodName(7)), target: 0.45},
		{title: "pods of a job", kind: labelValues, query: `{job="job-07"}`, span: hour, target: 0.15},
		{title: "unanchored regular expression", query: `count({pod=~".*a7.*"})`, target: 0.15},
	}
	for i := range all {
		all[i].set = "big"
		if all[i].kind == "" {
			all[i].kind = instantQuery
		}
	}
	return all
}

// questionsOf returns what is asked of a set; the jittered set is asked the same
// as the main one.
func questionsOf(set string) []question {
	all := questions()
	if set == "jitter" {
		all = mainQuestions(set)
	}
	return slices.DeleteFunc(all, func(q question) bool { return q.set != set })
}
