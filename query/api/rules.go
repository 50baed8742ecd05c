package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The endpoints here are about what this server does not do: it evaluates no
// rules and sends no alerts. Clients ask all the same, and get well-formed
// answers that say so.

func constant(json string) (answer, error) {
	return answer{data: text(func(dst []byte) []byte { return append(dst, json...) })}, nil
}

func (a *API) alertmanagers(context.Context, *call) (answer, error) {
	return constant(`{"activeAlertmanagers":[],"droppedAlertmanagers":[]}`)
}

func (a *API) alerts(context.Context, *call) (answer, error) { return constant(`{"alerts":[]}`) }

func (a *API) rules(ctx context.Context, c *call) (answer, error) {
	if err := c.params.wellFormed(); err != nil {
		return answer{}, err
	}
	if _, err := a.selectors(c.params.all("match[]")); err != nil {
		return answer{}, badData(err)
	}
	kind := strings.ToLower(c.params.get("type"))
	if kind != "" && kind != "alert" && kind != "record" {
		return answer{}, invalidParam("type", fmt.Errorf("not supported value %q", kind))
	}
	if s := strings.ToLower(c.params.get("exclude_alerts")); s != "" {
		if _, err := strconv.ParseBool(s); err != nil {
			return answer{}, invalidParam("exclude_alerts", fmt.Errorf("error converting exclude_alerts: %w", err))
		}
	}
	if err := checkPage(c.params); err != nil {
		return answer{}, err
	}
	return constant(`{"groups":[]}`)
}

// checkPage checks the parameters that ask for a part of the groups. Without
// groups there is no next page, so a token is always out of date.
func checkPage(p *params) error {
	size, token := p.get("group_limit"), p.get("group_next_token")
	if size == "" {
		if token != "" {
			return invalidParam("group_next_token", errors.New("group_limit needs to be present in order to paginate over the groups"))
		}
		return nil
	}
	switch n, err := strconv.ParseInt(size, 10, 32); {
	case err != nil:
		return invalidParam("group_limit", fmt.Errorf("group_limit needs to be a valid number: %w", err))
	case n <= 0:
		return invalidParam("group_limit", errors.New("group_limit needs to be greater than 0"))
	case token != "":
		return invalidParam("group_next_token", fmt.Errorf("invalid group_next_token '%v'. were rule groups changed?", token))
	}
	return nil
}
