package query

import (
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// The parser takes time that grows with the square of an expression's depth, and
// the evaluator a stack that grows with it: a short text could hold up a core for
// minutes. So depth is estimated from the text before it is parsed, and counted in
// the tree afterwards.

func (e *Engine) checkText(query string) error {
	if err := e.checkSize(len(query)); err != nil {
		return err
	}
	if limit := e.options.DepthMax; limit > 0 && textDepth(query) > limit {
		return e.tooDeep()
	}
	return nil
}

func (e *Engine) checkSize(size int) error {
	if e.options.TextMax > 0 && size > e.options.TextMax {
		return invalidf("the query has %s bytes, more than the %s that are accepted",
			grouped(int64(size)), grouped(int64(e.options.TextMax)))
	}
	return nil
}

// checkDepth refuses a tree whose evaluation would recurse too deep. It keeps its
// own stack, since depth is what it must survive.
func (e *Engine) checkDepth(expr parser.Expr) error {
	if e.options.DepthMax < 0 {
		return nil
	}
	type level struct {
		node  parser.Node
		depth int
	}
	stack := []level{{expr, 1}}
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if top.depth > e.options.DepthMax {
			return e.tooDeep()
		}
		for child := range parser.ChildrenIter(top.node) {
			stack = append(stack, level{child, top.depth + 1})
		}
	}
	return nil
}

func (e *Engine) tooDeep() error {
	return invalidf("the query is nested more than %s levels deep", grouped(int64(e.options.DepthMax)))
}

// bracket is what is known of the text inside one pair of brackets.
type bracket struct {
	deep    int  // depth of the tree so far
	right   int  // operators whose operand is still to come, and nests to the right
	operand bool // an operand has just ended, so that an operator is not a sign
}

// textDepth estimates the depth of an expression's tree: no more than what is
// there by much, and no less than a sixth of it, as there are six ranks of
// operators.
func textDepth(text string) int {
	stack := []bracket{{}}
	deepest := 0
	for at := 0; at < len(text); {
		top := &stack[len(stack)-1]
		switch c := text[at]; {
		case c == '"' || c == '\'' || c == '`':
			at = skipString(text, at)
			top.operand = true
			continue
		case c == '#':
			at = skipLine(text, at)
			continue
		case c == '{':
			at = skipBraces(text, at)
			top.operand = true
			continue
		case c == '(' || c == '[':
			stack = append(stack, bracket{})
			deepest = max(deepest, len(stack))
		case (c == ')' || c == ']') && len(stack) > 1:
			inner := top.deep + 1
			stack = stack[:len(stack)-1]
			stack[len(stack)-1].close(inner, c == ']')
		case c == ',':
			*top = bracket{deep: top.deep}
		case strings.IndexByte("+-*/%^<>=!", c) >= 0:
			top.operator(c == '^')
			at++
			for at < len(text) && (text[at] == '=' || text[at] == '~') {
				at++
			}
			deepest = max(deepest, top.deep+top.right+len(stack))
			continue
		case isWord(c):
			end := at
			for end < len(text) && isWord(text[end]) {
				end++
			}
			top.word(text[at:end])
			at = end
			deepest = max(deepest, top.deep+top.right+len(stack))
			continue
		}
		at++
		top = &stack[len(stack)-1]
		deepest = max(deepest, top.deep+top.right+len(stack))
	}
	return deepest
}

// operator counts one. A sign, and a power, nest to their right; the others take
// what is to their left as their operand.
func (b *bracket) operator(power bool) {
	switch {
	case !b.operand:
		b.right++
	case power:
		b.right++
		b.deep++
	default:
		b.right = 0
		b.deep++
	}
	b.operand = false
}

func (b *bracket) word(word string) {
	switch strings.ToLower(word) {
	case "and", "or", "unless", "atan2":
		b.operator(false)
	default:
		b.operand = true
	}
}

// close takes in a pair of brackets that has ended. A range nests what it follows.
func (b *bracket) close(inner int, isRange bool) {
	if isRange {
		b.deep++
	}
	b.deep = max(b.deep, inner+b.right)
	b.operand = true
}

func isWord(c byte) bool {
	return c == '_' || c == ':' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// skipString returns where the string that begins at has ended.
func skipString(text string, at int) int {
	quote := text[at]
	for at++; at < len(text); at++ {
		switch {
		case text[at] == quote:
			return at + 1
		case text[at] == '\\' && quote != '`':
			at++
		}
	}
	return len(text)
}

func skipLine(text string, at int) int {
	if end := strings.IndexByte(text[at:], '\n'); end >= 0 {
		return at + end
	}
	return len(text)
}

// skipBraces returns where the matchers that begin at have ended.
func skipBraces(text string, at int) int {
	for at < len(text) {
		switch text[at] {
		case '"', '\'', '`':
			at = skipString(text, at)
		case '#':
			at = skipLine(text, at)
		case '}':
			return at + 1
		default:
			at++
		}
	}
	return len(text)
}
