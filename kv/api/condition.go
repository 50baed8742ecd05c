package api

import (
	"strings"

	"github.com/valyala/fasthttp"
)

// condition is what a request demands of the present value.
type condition struct {
	match     tagList // If-Match
	noneMatch tagList // If-None-Match
}

// tagList is a set of entity tags, or any; unset, it demands nothing.
type tagList struct {
	set  bool
	any  bool
	tags []string // with quotes; weak ones keep their W/
}

func headerCondition(ctx *fasthttp.RequestCtx) (condition, error) {
	var c condition
	var err error
	if c.match, err = parseTags("If-Match", string(ctx.Request.Header.Peek(fasthttp.HeaderIfMatch))); err != nil {
		return c, err
	}
	c.noneMatch, err = parseTags("If-None-Match", string(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch)))
	return c, err
}

// parseTags reads *, or entity tags with commas between them. Empty text is no
// condition.
func parseTags(what, text string) (tagList, error) {
	text = strings.Trim(text, " \t")
	if text == "" {
		return tagList{}, nil
	}
	list := tagList{set: true}
	if text == "*" {
		list.any = true
		return list, nil
	}
	for {
		weak, rest := "", text
		if strings.HasPrefix(rest, "W/") {
			weak, rest = "W/", rest[2:]
		}
		end := -1
		if strings.HasPrefix(rest, `"`) {
			end = strings.IndexByte(rest[1:], '"')
		}
		if end < 0 {
			return tagList{}, badRequest("%s is neither * nor a list of entity tags in quotes: %q", what, clip(text))
		}
		list.tags = append(list.tags, weak+rest[:end+2])
		text = strings.TrimLeft(rest[end+2:], " \t")
		if text == "" {
			return list, nil
		}
		if text[0] != ',' {
			return tagList{}, badRequest("%s has entity tags without a comma between them: %q", what, clip(text))
		}
		text = strings.TrimLeft(text[1:], " \t")
	}
}

// has reports whether the list names etag; weakly, W/ makes no difference.
func (l tagList) has(etag string, weakly bool) bool {
	for _, tag := range l.tags {
		if tag == etag || weakly && strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

// matchFails reports whether If-Match does not hold for the present record,
// which is nil when there is none.
func (c condition) matchFails(present *record) bool {
	return c.match.set && (present == nil || !c.match.any && !c.match.has(present.etag(), false))
}

// noneMatchFails reports whether If-None-Match does not hold.
func (c condition) noneMatchFails(present *record) bool {
	return c.noneMatch.set && present != nil && (c.noneMatch.any || c.noneMatch.has(present.etag(), true))
}

// check returns the refusal of a write whose condition fails.
func (c condition) check(present *record) error {
	state := "there is no such key"
	if present != nil {
		state = "the key's entity tag is " + present.etag()
	}
	switch {
	case c.matchFails(present):
		return refuse(fasthttp.StatusPreconditionFailed, "precondition_failed", "If-Match fails: %s", state)
	case c.noneMatchFails(present):
		return refuse(fasthttp.StatusPreconditionFailed, "precondition_failed", "If-None-Match fails: %s", state)
	}
	return nil
}
