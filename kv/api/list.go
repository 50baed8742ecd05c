package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/keyspace"
)

// A page of rows answers GET /kv/v1/{keyspace}, with the query's parameters
//
//	prefix  only keys that begin with it
//	after   only keys above it
//	limit   at most so many rows: 100 if absent
//	values  false leaves values and tags out
//
// as
//
//	{"rows":[{"key":"a","value":"1","etag":"\"...\"","expires":"..."}],"next":"a"}
//
// Text that is not UTF-8 is sent as key64 or value64 instead, in base64. While
// there may be more rows, next is the value of after for the next page, already
// percent-encoded; pages may be shorter than the limit before that. A page shows
// one moment.
const (
	pageRows = 100
	// pageLooksMax bounds how many rows a page looks at, expired ones included.
	pageLooksMax = 10_000
)

type pageAnswer struct {
	Rows []rowAnswer `json:"rows"`
	Next string      `json:"next,omitempty"`
}

type rowAnswer struct {
	Key     *string `json:"key,omitempty"`
	Key64   *string `json:"key64,omitempty"`
	Value   *string `json:"value,omitempty"`
	Value64 *string `json:"value64,omitempty"`
	ETag    string  `json:"etag,omitempty"`
	Expires string  `json:"expires,omitempty"`
}

// textOrBase64 returns b as text if it is UTF-8, else in base64.
func textOrBase64(b []byte) (text, base *string) {
	if utf8.Valid(b) {
		s := string(b)
		return &s, nil
	}
	s := base64.StdEncoding.EncodeToString(b)
	return nil, &s
}

// pageRequest is a listing's parameters.
type pageRequest struct {
	prefix, after []byte
	limit         int
	values        bool
}

func (h *Handler) pageRequest(args *fasthttp.Args) (pageRequest, error) {
	r := pageRequest{prefix: args.Peek("prefix"), after: args.Peek("after"), limit: pageRows, values: true}
	if len(r.prefix) > keyBytesMax || len(r.after) > keyBytesMax {
		return r, badRequest("prefix and after have at most %d bytes", keyBytesMax)
	}
	if args.Has("limit") {
		n, err := strconv.Atoi(string(args.Peek("limit")))
		if err != nil || n < 1 {
			return r, badRequest("limit is not a number above 0: %q", clip(string(args.Peek("limit"))))
		}
		r.limit = n
	}
	r.limit = min(r.limit, h.options.PageRowsMax)
	if args.Has("values") {
		var err error
		if r.values, err = strconv.ParseBool(string(args.Peek("values"))); err != nil {
			return r, badRequest("values is neither true nor false: %q", clip(string(args.Peek("values"))))
		}
	}
	return r, nil
}

func (h *Handler) list(ctx *fasthttp.RequestCtx, t target) error {
	request, err := h.pageRequest(ctx.QueryArgs())
	if err != nil {
		return err
	}
	lower := t.row(request.prefix)
	it, err := h.store.Scan(lower, keyspace.PrefixEnd(lower))
	if err != nil {
		return fmt.Errorf("list keyspace: %w", err)
	}
	page, err := h.readPage(it, t, request)
	if closeErr := it.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("list keyspace: %w", closeErr)
	}
	if err != nil {
		return err
	}
	body, err := encodeJSON(page)
	if err != nil {
		return fmt.Errorf("list keyspace: %w", err)
	}
	answer(ctx, fasthttp.StatusOK, body)
	return nil
}

func (h *Handler) readPage(it kv.Iterator, t target, request pageRequest) (pageAnswer, error) {
	page := pageAnswer{Rows: []rowAnswer{}}
	now := h.options.Now()
	start := t.row(request.prefix)
	if len(request.after) > 0 {
		if after := append(t.row(request.after), 0); bytes.Compare(after, start) > 0 {
			start = after
		}
	}
	size, looks := 0, 0
	var last []byte
	for ok := it.SeekGE(start); ok; ok = it.Next() {
		if len(page.Rows) == request.limit || size >= h.options.PageBytesMax || looks == pageLooksMax {
			page.Next = escape(last)
			return page, nil
		}
		looks++
		last = append(last[:0], it.Key()[len(t.prefix):]...)
		stored := it.Value()
		if it.Err() != nil {
			break
		}
		r, err := decodeRecord(stored)
		if err != nil {
			return page, fmt.Errorf("list keyspace at %q: %w", last, err)
		}
		if r.expired(now) {
			continue
		}
		var row rowAnswer
		row.Key, row.Key64 = textOrBase64(last)
		if request.values {
			row.Value, row.Value64 = textOrBase64(r.payload)
			row.ETag = r.etag()
			size += len(r.payload)
		}
		if r.expires != 0 {
			row.Expires = r.expiry()
		}
		size += len(last)
		page.Rows = append(page.Rows, row)
	}
	if err := it.Err(); err != nil {
		return page, fmt.Errorf("list keyspace: %w", err)
	}
	return page, nil
}

// encodeJSON leaves <, > and & as they are: the answer is no web page.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

func quoteJSON(s string) []byte {
	quoted, err := encodeJSON(s)
	if err != nil { // a string always encodes
		return []byte(`""`)
	}
	return bytes.TrimSuffix(quoted, []byte("\n"))
}
