package otlp

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// targetInfo describes the resource at the times of its points.
func (d *Decoder) targetInfo() error {
	r := &d.resource
	if d.options.NoTargetInfo || r.earliest > r.until {
		return nil
	}
	p := &d.point
	d.text = d.text[:r.textBytes]
	p.attributes = p.attributes[:0]
	describing := false
	for _, a := range r.attributes {
		describing = describing || !identifies(a.key)
		if d.options.KeepIdentifying || !identifies(a.key) {
			p.attributes = append(p.attributes, a)
		}
	}
	if !describing {
		return nil
	}
	if err := d.combine(p.attributes, d.identity(nil)); err != nil {
		d.refuse(reasonOf(err), 1, kindGauge, fmt.Errorf("target_info: %w", err))
		return nil
	}
	if !slices.ContainsFunc(d.set, func(l label) bool {
		return len(l.value) > 0 && (bytes.Equal(l.name, nameJob) || bytes.Equal(l.name, nameInstance))
	}) {
		return nil // nothing could be joined with it
	}
	const samplesMax = 1000
	interval := max(d.options.TargetInfoInterval.Nanoseconds(), (r.until/samplesMax - r.earliest/samplesMax))
	ok, err := d.row(nameTarget, label{}, contents{samples: int((r.until-r.earliest)/interval) + 1})
	if !ok || err != nil {
		return err
	}
	for at := r.earliest; at < r.until; at += interval {
		if at/nanosecondsPerMillisecond != r.until/nanosecondsPerMillisecond {
			d.dst.AddSample(at/nanosecondsPerMillisecond, 0, 1)
		}
		if at > math.MaxInt64-interval {
			break
		}
	}
	d.dst.AddSample(r.until/nanosecondsPerMillisecond, 0, 1)
	return d.describeTarget()
}

var nameTarget = padded("target_info")

// describeTarget adds the metadata of target_info, once a request.
func (d *Decoder) describeTarget() error {
	d.metric = d.names.target()
	return d.describe()
}
