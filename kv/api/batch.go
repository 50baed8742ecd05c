package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/kv"
)

// A batch is POSTed to /kv/v1/{keyspace} as
//
//	{"operations":[
//	  {"op":"put","key":"a","value":"1","ttl":"30s","if_match":"\"...\""},
//	  {"op":"put","key64":"AP8=","value64":"AP8=","if_none_match":"*"},
//	  {"op":"delete","key":"b"},
//	  {"op":"check","key":"c","if_match":"*"}]}
//
// All conditions are checked against the state before the batch. If one fails,
// the answer is 412 and nothing is written; else all is written at once. A key
// may be written by one operation only. The answer has a result per operation:
//
//	{"results":[{"etag":"\"...\""},{"etag":"\"...\""},{"existed":true},{"existed":true}]}
type batchRequest struct {
	Operations []operation `json:"operations"`
}

type operation struct {
	Op          string  `json:"op"`
	Key         *string `json:"key"`
	Key64       *string `json:"key64"`
	Value       *string `json:"value"`
	Value64     *string `json:"value64"`
	TTL         string  `json:"ttl"`
	IfMatch     string  `json:"if_match"`
	IfNoneMatch string  `json:"if_none_match"`
}

type batchAnswer struct {
	Results []resultAnswer `json:"results"`
}

type resultAnswer struct {
	ETag    string `json:"etag,omitempty"`
	Existed *bool  `json:"existed,omitempty"`
}

const (
	opPut    = "put"
	opDelete = "delete"
	opCheck  = "check"
)

// step is a checked operation.
type step struct {
	op       string
	row      []byte
	value    []byte
	lifetime time.Duration
	wanted   condition
}

func (h *Handler) batch(ctx *fasthttp.RequestCtx, t target) error {
	body, err := readBody(ctx, h.options.BatchBytesMax)
	if err != nil {
		return err
	}
	steps, err := h.decodeBatch(body, t)
	if err != nil {
		return err
	}
	rows := make([][]byte, len(steps))
	for i := range steps {
		rows[i] = steps[i].row
	}
	defer h.locks.lock(rows...)()
	b, results, err := h.plan(steps)
	if err != nil {
		return err
	}
	if len(b.Ops()) > 0 {
		if err := h.store.Apply(b, kv.Sync); err != nil {
			return fmt.Errorf("write batch: %w", err)
		}
	}
	text, err := encodeJSON(batchAnswer{results})
	if err != nil {
		return fmt.Errorf("write batch: %w", err)
	}
	answer(ctx, fasthttp.StatusOK, text)
	return nil
}

// decodeBatch reads a batch strictly: an unknown field may be a misspelt
// condition.
func (h *Handler) decodeBatch(body []byte, t target) ([]step, error) {
	var request batchRequest
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return nil, badRequest("the batch is not understood: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, badRequest("the batch goes on after its end")
	}
	if n := len(request.Operations); n > h.options.BatchOperationsMax {
		return nil, refuse(fasthttp.StatusRequestEntityTooLarge, "too_large",
			"the batch has %d operations, more than %d", n, h.options.BatchOperationsMax)
	}
	steps := make([]step, len(request.Operations))
	writers := map[string]int{}
	for i, o := range request.Operations {
		s, err := h.step(o, t)
		if err != nil {
			return nil, atOperation(i, err)
		}
		if s.op != opCheck {
			if first, twice := writers[string(s.row)]; twice {
				return nil, atOperation(i, badRequest("the key is written by operation %d too", first))
			}
			writers[string(s.row)] = i
		}
		steps[i] = s
	}
	return steps, nil
}

func atOperation(i int, err error) error {
	var r *refusal
	if errors.As(err, &r) {
		return refuse(r.status, r.kind, "operation %d: %s", i, r.detail)
	}
	return fmt.Errorf("operation %d: %w", i, err)
}

func (h *Handler) step(o operation, t target) (step, error) {
	s := step{op: o.Op}
	key, err := bytesOf("key", o.Key, o.Key64)
	if err == nil {
		err = checkKey(key)
	}
	if err != nil {
		return s, err
	}
	s.row = t.row(key)
	if s.wanted.match, err = parseTags("if_match", o.IfMatch); err != nil {
		return s, err
	}
	if s.wanted.noneMatch, err = parseTags("if_none_match", o.IfNoneMatch); err != nil {
		return s, err
	}
	switch o.Op {
	case opPut:
		if s.value, err = bytesOf("value", o.Value, o.Value64); err != nil {
			return s, err
		}
		if len(s.value) > h.options.ValueBytesMax {
			return s, refuse(fasthttp.StatusRequestEntityTooLarge, "too_large",
				"the value has %d bytes, more than %d", len(s.value), h.options.ValueBytesMax)
		}
		s.lifetime, err = parseTTL(o.TTL)
		return s, err
	case opDelete, opCheck:
		if o.Value != nil || o.Value64 != nil || o.TTL != "" {
			return s, badRequest("only put has a value and a ttl")
		}
		if o.Op == opCheck && !s.wanted.match.set && !s.wanted.noneMatch.set {
			return s, badRequest("check has neither if_match nor if_none_match")
		}
		return s, nil
	}
	return s, badRequest("op is %q, not put, delete or check", clip(o.Op))
}

// bytesOf returns what a field says as text or as base64.
func bytesOf(field string, text, base *string) ([]byte, error) {
	switch {
	case text != nil && base == nil:
		return []byte(*text), nil
	case base != nil && text == nil:
		b, err := base64.StdEncoding.DecodeString(*base)
		if err != nil {
			return nil, badRequest("%s64 is not base64: %v", field, err)
		}
		return b, nil
	}
	return nil, badRequest("there is not exactly one of %s and %s64", field, field)
}

// plan checks the conditions and builds the writes. The rows are locked.
func (h *Handler) plan(steps []step) (*kv.Batch, []resultAnswer, error) {
	now := h.options.Now()
	b := &kv.Batch{}
	results := make([]resultAnswer, len(steps))
	for i, s := range steps {
		before, stale, err := h.present(s.row, now)
		if err == nil {
			err = s.wanted.check(before)
		}
		if err != nil {
			return nil, nil, atOperation(i, err)
		}
		existed := before != nil
		switch s.op {
		case opPut:
			after := either(before, stale).next(s.value, expiryAt(now, s.lifetime), now)
			b.Set(s.row, appendRecord(make([]byte, 0, recordHeaderBytes+len(s.value)), after))
			results[i].ETag = after.etag()
			continue
		case opDelete:
			if existed || stale != nil {
				b.Delete(s.row)
			}
		}
		results[i].Existed = &existed
	}
	return b, results, nil
}
