package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/valyala/fasthttp"

	"github.com/varve-db/varve/kv"
)

const (
	headerTTL     = "Varve-TTL"
	headerExpires = "Varve-Expires"
)

// present returns the record of row, or nil when there is none that has not
// expired. The record that has expired is returned as stale, for its version.
func (h *Handler) present(row []byte, now time.Time) (live, stale *record, err error) {
	stored, err := h.store.Get(row)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read row: %w", err)
	}
	r, err := decodeRecord(stored)
	if err != nil {
		return nil, nil, err
	}
	if r.expired(now) {
		return nil, &r, nil
	}
	return &r, nil, nil
}

func (h *Handler) get(ctx *fasthttp.RequestCtx, t target) error {
	wanted, err := headerCondition(ctx)
	if err != nil {
		return err
	}
	r, _, err := h.present(t.row(t.key), h.options.Now())
	if err != nil {
		return err
	}
	if wanted.matchFails(r) {
		return wanted.check(r)
	}
	if r == nil {
		return refuse(fasthttp.StatusNotFound, "not_found", "there is no such key")
	}
	ctx.Response.Header.Set(fasthttp.HeaderETag, r.etag())
	if r.expires != 0 {
		ctx.Response.Header.Set(headerExpires, r.expiry())
	}
	if wanted.noneMatchFails(r) {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	ctx.SetContentType("application/octet-stream")
	ctx.Response.SetBodyRaw(r.payload)
	if ctx.IsHead() {
		ctx.Response.SkipBody = true
	}
	return nil
}

func (h *Handler) put(ctx *fasthttp.RequestCtx, t target) error {
	wanted, err := headerCondition(ctx)
	if err != nil {
		return err
	}
	ttl := string(ctx.QueryArgs().Peek("ttl"))
	if ttl == "" {
		ttl = string(ctx.Request.Header.Peek(headerTTL))
	}
	lifetime, err := parseTTL(ttl)
	if err != nil {
		return err
	}
	body, err := readBody(ctx, h.options.ValueBytesMax)
	if err != nil {
		return err
	}
	row := t.row(t.key)
	defer h.locks.lock(row)()
	now := h.options.Now()
	before, stale, err := h.present(row, now)
	if err == nil {
		err = wanted.check(before)
	}
	if err != nil {
		return err
	}
	after := either(before, stale).next(body, expiryAt(now, lifetime), now)
	var b kv.Batch
	b.Set(row, appendRecord(make([]byte, 0, recordHeaderBytes+len(body)), after))
	if err := h.store.Apply(&b, kv.Sync); err != nil {
		return fmt.Errorf("write row: %w", err)
	}
	ctx.Response.Header.Set(fasthttp.HeaderETag, after.etag())
	if before == nil {
		ctx.SetStatusCode(fasthttp.StatusCreated)
	} else {
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	}
	return nil
}

func (h *Handler) delete(ctx *fasthttp.RequestCtx, t target) error {
	wanted, err := headerCondition(ctx)
	if err != nil {
		return err
	}
	row := t.row(t.key)
	defer h.locks.lock(row)()
	before, stale, err := h.present(row, h.options.Now())
	if err == nil {
		err = wanted.check(before)
	}
	if err != nil {
		return err
	}
	if before != nil || stale != nil {
		var b kv.Batch
		b.Delete(row)
		if err := h.store.Apply(&b, kv.Sync); err != nil {
			return fmt.Errorf("delete row: %w", err)
		}
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

func either(a, b *record) *record {
	if a != nil {
		return a
	}
	return b
}

// ttlMax keeps expiries far from the end of the clock.
const ttlMax = 100 * 365 * 24 * time.Hour

// parseTTL reads a lifetime; empty text is none.
func parseTTL(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	lifetime, err := model.ParseDuration(text)
	if err != nil || lifetime <= 0 || time.Duration(lifetime) > ttlMax {
		return 0, badRequest("%q is no time to live: give a duration from 1ms to 100y, such as 30s or 1h30m", clip(text))
	}
	return time.Duration(lifetime), nil
}

func expiryAt(now time.Time, lifetime time.Duration) int64 {
	if lifetime == 0 {
		return 0
	}
	return now.Add(lifetime).UnixMilli()
}
