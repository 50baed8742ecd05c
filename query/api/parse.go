package api

import (
	"context"

	"github.com/prometheus/prometheus/promql/parser"
)

// formatQuery prints a query in its usual layout.
func (a *API) formatQuery(ctx context.Context, c *call) (answer, error) {
	expr, err := a.parse(c)
	if err != nil {
		return answer{}, err
	}
	return answer{data: text(func(dst []byte) []byte {
		return appendString(dst, expr.Pretty(0), escapeHTML)
	})}, nil
}

// parseQuery gives a query's syntax tree away.
func (a *API) parseQuery(ctx context.Context, c *call) (answer, error) {
	expr, err := a.parse(c)
	if err != nil {
		return answer{}, err
	}
	return answer{data: text(func(dst []byte) []byte { return appendTree(dst, expr) })}, nil
}

func (a *API) parse(c *call) (parser.Expr, error) {
	expr, err := a.deps.Engine.Parse(c.params.get("query"))
	if err != nil {
		return nil, invalidQuery(err)
	}
	return expr, nil
}
