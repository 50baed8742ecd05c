package api

import (
	"context"
	"strconv"

	"github.com/varve-db/varve/query"
	"github.com/varve-db/varve/query/plan"
)

// queryExplain says how a query would be answered: with the parameters of an
// instant query, or those of a range query if there is a step.
func (a *API) queryExplain(ctx context.Context, c *call) (answer, error) {
	request, err := a.explainRequest(c)
	if err != nil {
		return answer{}, err
	}
	x, err := a.deps.Engine.Explain(ctx, c.from.Queryable, request)
	if err != nil {
		return answer{}, invalidQuery(err)
	}
	data := text(func(dst []byte) []byte { return appendExplanation(dst, x) })
	return answer{data: data, warnings: x.Warnings, query: request.Query}, nil
}

func (a *API) explainRequest(c *call) (request query.Request, err error) {
	if c.params.get("step") != "" {
		request, err = a.rangeRequest(c.params)
	} else {
		request.Start, err = c.params.timeOr("time", a.deps.Now())
		request.End = request.Start
		if err == nil {
			err = evaluable("time", request.Start)
		}
	}
	if err != nil {
		return request, err
	}
	if request.Timeout, err = c.params.timeout(); err != nil {
		return request, err
	}
	request.Query = c.params.get("query")
	if s := c.params.get("execute"); s != "" {
		if request.Measure, err = strconv.ParseBool(s); err != nil {
			return request, invalidParam("execute", err)
		}
	}
	return request, queryOptions(c, &request)
}

func appendExplanation(dst []byte, x *query.Explanation) []byte {
	o := openObject(dst)
	o.text("expr", x.Plan.Root.Expr.String())
	o.text("executor", executorOf(x.Plan.Root))
	o.name("rules")
	o.dst = append(o.dst, '[')
	for i, applied := range x.Plan.Applied {
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		rule := openObject(o.dst)
		rule.text("rule", applied.Rule)
		rule.text("change", applied.What)
		o.dst = rule.close()
	}
	o.dst = append(o.dst, ']')
	if x.Work != nil {
		o.name("execution")
		o.dst = appendWork(o.dst, *x.Work)
	}
	o.name("plan")
	o.dst = appendPlan(o.dst, x, x.Plan.Root)
	return o.close()
}

// executorOf says who evaluates a tree: one of both, or mixed.
func executorOf(root *plan.Node) string {
	executor := string(root.Executor)
	root.Walk(func(n *plan.Node) bool {
		if string(n.Executor) != executor {
			executor = "mixed"
		}
		return true
	})
	return executor
}

func appendPlan(dst []byte, x *query.Explanation, n *plan.Node) []byte {
	o := openObject(dst)
	o.text("operator", string(n.Kind))
	o.text("expr", n.Expr.String())
	o.text("executor", string(n.Executor))
	if n.Why != "" {
		o.text("reason", n.Why)
	}
	o.name("grid")
	grid := openObject(o.dst)
	grid.seconds("start", n.Grid.Start)
	grid.seconds("end", n.Grid.End)
	if n.Grid.Count() > 1 {
		grid.seconds("step", n.Grid.Step)
	}
	grid.int("steps", int64(n.Grid.Count()))
	o.dst = grid.close()
	if n.Once {
		o.bool("once", true)
	}
	if n.Shared > 0 {
		o.int("shared", int64(n.Shared))
	}
	if n.Selector != nil {
		o.name("selector")
		o.dst = appendSelector(o.dst, x, n)
	}
	o.cost(x.Costs, n)
	o.children(n, func(dst []byte, child *plan.Node) []byte { return appendPlan(dst, x, child) })
	return o.close()
}

// children appends the nodes below n, if there are any.
func (o *object) children(n *plan.Node, appendNode func([]byte, *plan.Node) []byte) {
	if len(n.Children) == 0 {
		return
	}
	o.name("children")
	o.dst = append(o.dst, '[')
	for i, child := range n.Children {
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		o.dst = appendNode(o.dst, child)
	}
	o.dst = append(o.dst, ']')
}

func appendSelector(dst []byte, x *query.Explanation, n *plan.Node) []byte {
	s := n.Selector
	o := openObject(dst)
	o.matchers(s.Vector.LabelMatchers)
	o.seconds("from", s.Mint)
	o.seconds("to", s.Maxt)
	o.text("resolution", string(s.Resolution))
	if len(s.Pieces) > 0 {
		o.name("pieces")
		o.dst = appendPieces(o.dst, s.Pieces)
	}
	if count, ok := x.Series[n]; ok {
		o.int("series", int64(count))
	}
	return o.close()
}

// appendPieces appends the runs of steps that read in different ways.
func appendPieces(dst []byte, pieces []plan.Piece) []byte {
	dst = append(dst, '[')
	for i, p := range pieces {
		if i > 0 {
			dst = append(dst, ',')
		}
		o := openObject(dst)
		o.seconds("start", p.Grid.Start)
		o.seconds("end", p.Grid.End)
		o.text("resolution", p.Resolution())
		dst = o.close()
	}
	return append(dst, ']')
}

// seconds appends milliseconds as the seconds that parameters have.
func (o *object) seconds(name string, ms int64) {
	o.name(name)
	o.dst = appendTime(o.dst, ms)
}
