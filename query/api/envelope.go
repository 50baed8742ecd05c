package api

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/util/annotations"
)

// envelope returns the source of an answer's JSON.
func envelope(a answer) source {
	return &envelopeSource{parts: []part{
		text(func(dst []byte) []byte { return append(dst, `{"status":"success","data":`...) }),
		a.data,
		text(func(dst []byte) []byte { return append(appendNotices(dst, a.warnings, a.query), '}') }),
	}}
}

// envelopeSource writes parts one after the other.
type envelopeSource struct{ parts []part }

func (e *envelopeSource) next(dst []byte) ([]byte, bool, error) {
	out, done := sequence(e.parts).step(dst)
	if done > 0 {
		e.parts = e.parts[done:]
	}
	return out, len(e.parts) == 0, nil
}

// sequence is parts in a row.
type sequence []part

// step appends blocks until one is not the last of its part or enough is there,
// and returns how many parts ended.
func (s sequence) step(dst []byte) ([]byte, int) {
	limit := len(dst) + blockBytes
	for i, p := range s {
		var done bool
		if dst, done = p.next(dst); !done || len(dst) > limit {
			if done {
				i++
			}
			return dst, i
		}
	}
	return dst, len(s)
}

// row is a part made of parts.
type row struct{ parts []part }

func (r *row) next(dst []byte) ([]byte, bool) {
	out, done := sequence(r.parts).step(dst)
	r.parts = r.parts[done:]
	return out, len(r.parts) == 0
}

// noticesMax is how many warnings, and how many infos, an answer spells out.
const noticesMax = 10

// appendNotices appends warnings and infos as members of an object, in order, so
// that the same query has the same answer.
func appendNotices(dst []byte, from annotations.Annotations, query string) []byte {
	if len(from) == 0 {
		return dst
	}
	warnings, infos := from.AsStrings(query, 0, 0)
	dst = appendNotice(dst, `,"warnings":`, warnings, "warning")
	return appendNotice(dst, `,"infos":`, infos, "info")
}

func appendNotice(dst []byte, name string, list []string, kind string) []byte {
	if len(list) == 0 {
		return dst
	}
	slices.Sort(list)
	if more := len(list) - noticesMax; more > 0 {
		list = append(list[:noticesMax], fmt.Sprintf("%d more %s annotations omitted", more, kind))
	}
	return appendStrings(append(dst, name...), list)
}
