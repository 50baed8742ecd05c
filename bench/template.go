package bench

// template is a compressed body of one sample for each of its series, made
// once and written over before every send.
type template struct {
	block   []byte
	plain   int     // bytes of the body before compression
	models  []model // one a series
	values  []int   // where in block each series' value is
	moments []moment
	pods    []podPart
}

// moment is a timestamp in the block, shared by what follows of a target.
type moment struct {
	at     int
	target int
}

// podPart is the part of a pod's page that one template holds.
type podPart struct {
	pod, generation int
	from, to        int // lines of the page
}

func (p podPart) len() int { return p.to - p.from }

// stamp writes the next scrape over the last. phase tells how far after the
// pass's time a target is scraped.
func (t *template) stamp(ms int64, s *scrape, phase func(target int) int64) {
	for _, m := range t.moments {
		putTimestamp(t.block[m.at:], ms+phase(m.target))
	}
	for i := range t.models {
		putValue(t.block[t.values[i]:], s.next(&t.models[i]))
	}
}

// builder makes templates.
type builder struct {
	fleet      Fleet
	lines      []line
	protocol   Protocol
	encoder    encoder
	compressor compressor
}

func newBuilder(f Fleet, p Protocol) *builder {
	return &builder{fleet: f, lines: podLines(), protocol: p}
}

// build returns the template of parts with fresh models.
func (b *builder) build(parts []podPart) *template {
	t := &template{pods: parts}
	for _, part := range parts {
		for _, l := range b.lines[part.from:part.to] {
			t.models = append(t.models, model{l.kind, l.start})
		}
	}
	b.encode(t)
	return t
}

// replace puts a new pod in the place of part i.
func (b *builder) replace(t *template, i int) {
	at := 0
	for _, part := range t.pods[:i] {
		at += part.len()
	}
	part := &t.pods[i]
	part.generation++
	for j, l := range b.lines[part.from:part.to] {
		t.models[at+j] = model{l.kind, l.start}
	}
}

// encode makes t's block anew from its pods.
func (b *builder) encode(t *template) {
	b.encoder.reset(b.protocol)
	var patches []patch
	var targets []int // of the patches that are timestamps, -1 for values
	for _, part := range t.pods {
		first := -1
		common := b.fleet.podLabels(part.pod, part.generation)
		for _, l := range b.lines[part.from:part.to] {
			ls := make([]Label, 0, len(common)+len(l.labels)+1)
			ls = append(append(append(ls, Label{"__name__", l.metric}), common...), l.labels...)
			sortLabels(ls)
			sample := b.encoder.series(ls, timestampMin, 0)
			patches = append(patches, patch{sample + sampleValue, 8, -1}, patch{sample + sampleTimestamp, timestampBytes, first})
			targets = append(targets, -1, part.pod)
			first = sample + sampleTimestamp
		}
	}
	t.compress(&b.encoder, &b.compressor, patches, targets)
}

// compress makes t's block of what e holds. The patches are counted from the
// first series; targets has the target of each that is a timestamp, -1 for
// values.
func (t *template) compress(e *encoder, c *compressor, patches []patch, targets []int) {
	plain, moved := e.plain()
	for i := range patches {
		patches[i].at += moved
		if patches[i].same >= 0 {
			patches[i].same += moved
		}
	}
	block, places := c.compress(nil, plain, patches)
	t.block, t.plain, t.values, t.moments = block, len(plain), t.values[:0], t.moments[:0]
	for i, at := range places {
		switch {
		case targets[i] < 0:
			t.values = append(t.values, at)
		case at >= 0:
			t.moments = append(t.moments, moment{at, targets[i]})
		}
	}
}
