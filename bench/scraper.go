package bench

// Scraper scrapes a fleet within the process, for benchmarks of what lies behind
// the requests. One goroutine uses it at a time.
type Scraper struct {
	// Series are the label sets, in the order of their names; the series of a
	// target are neighbours.
	Series [][]Label
	// Target tells a series' target.
	Target []int

	models []model
	scrape scrape
}

// NewScraper returns a scraper of the fleet.
func NewScraper(f Fleet) *Scraper {
	s := &Scraper{scrape: scrape{random: newRandom(f.Seed + 1)}}
	lines := podLines()
	for pod := 0; len(s.Series) < f.Series; pod++ {
		common := f.podLabels(pod, 0)
		for _, l := range lines[:min(len(lines), f.Series-len(s.Series))] {
			ls := make([]Label, 0, len(common)+len(l.labels)+1)
			ls = append(append(append(ls, Label{"__name__", l.metric}), common...), l.labels...)
			sortLabels(ls)
			s.Series = append(s.Series, ls)
			s.Target = append(s.Target, pod)
			s.models = append(s.models, model{l.kind, l.start})
		}
	}
	return s
}

// Next scrapes every target and returns the values, one a series, in values if
// it is long enough.
func (s *Scraper) Next(values []float64) []float64 {
	values = values[:0]
	for i := range s.models {
		values = append(values, s.scrape.next(&s.models[i]))
	}
	return values
}
