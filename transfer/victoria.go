package transfer

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// victoria is a server that exports JSON lines as VictoriaMetrics does.
type victoria struct {
	url    string
	http   *http.Client
	header http.Header
	filter Filter
}

// OpenVictoria reads from a VictoriaMetrics, or a Varve, at its base address, by
// its export, a day at a time. Of native histograms the format knows nothing. The
// filter must say from when on.
func OpenVictoria(base string, client *http.Client, header http.Header, f Filter) (Source, error) {
	if f.Start.IsZero() || f.End.IsZero() {
		return nil, errNoRange
	}
	return &victoria{url: strings.TrimSuffix(base, "/"), http: client, header: header, filter: f}, nil
}

// Name implements Source.
func (v *victoria) Name() string { return v.url }

// Close implements Source.
func (v *victoria) Close() error { return nil }

// Parts implements Source.
func (v *victoria) Parts(context.Context) ([]Part, error) { return daysOf(v.filter.bounds()), nil }

// Read implements Source.
func (v *victoria) Read(ctx context.Context, part Part, to Sink) error {
	reply, err := export(ctx, v.http, v.url, v.header, exportForm(v.filter.Selectors, part.from, part.to))
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if err := jsonLines().read(ctx, reply.Body, to); err != nil {
		return err
	}
	to.Lost(skippedHistograms(reply))
	return nil
}

// exportForm is what an export is asked for.
func exportForm(selectors [][]*labels.Matcher, mint, maxt int64) url.Values {
	// A line of bounded length keeps both sides from holding a series whole.
	form := url.Values{"max_rows_per_line": {"10000"}}
	for _, selector := range selectors {
		form.Add("match[]", selectorText(selector))
	}
	if len(selectors) == 0 {
		form.Add("match[]", `{__name__!=""}`)
	}
	setTime(form, "start", mint)
	setTime(form, "end", maxt)
	return form
}

// selectorText writes matchers as a selector.
func selectorText(selector []*labels.Matcher) string {
	texts := make([]string, len(selector))
	for i, m := range selector {
		texts[i] = m.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}
