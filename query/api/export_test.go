package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/teststorage"
)

func TestExport(t *testing.T) {
	s := serve(t, depsOfTestStorage(t), Options{}, false)
	ask := func(form string) reply { return s.do(t, http.MethodPost, "/api/v1/export", form) }
	got := ask(`match[]=up{job="node"}&start=30&end=60`)
	want := `{"metric":{"__name__":"up","instance":"localhost:9100","job":"node"},"values":[0,0,0],"timestamps":[30000,45000,60000]}` + "\n"
	if got.code != 200 || got.body != want || got.header.Get("Content-Type") != "application/stream+json; charset=utf-8" || got.header.Get(headerSkipped) != "0" {
		t.Errorf("got %+v", got)
	}
	for path, want := range map[string]string{
		`match[]=gone`:                                      `"values":[1,2,"NaN:7ff0000000000002",5]`,
		`match[]=special_values{v="nan"}&end=0`:             `"values":[null]`,
		`match[]=special_values{v="ninf"}&end=15`:           `"values":["-Infinity","-Infinity"]`,
		`match[]=up&match[]={job="node"}&end=0`:             "\n{\"metric\":{\"__name__\":\"up\",\"instance\":\"localhost:9100\"",
		`match[]=up{job="node"}&max_rows_per_line=2&end=60`: `"timestamps":[0,15000]}` + "\n",
		`match[]=mixed`:                                     `"values":[1,2,4`,
	} {
		if got := ask(path); got.code != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d %s", path, got.code, got.body)
		}
	}
	if got := ask(`match[]={job="node"}&match[]=up`); strings.Count(got.body, "\n") != 2 {
		t.Errorf("a series of two selectors comes twice: %s", got.body)
	}
	if got := ask("match[]=nh_seconds"); got.code != 200 || got.body != "" || got.header.Get(headerSkipped) != "41" {
		t.Errorf("histograms: got %+v", got)
	}
	for form, want := range map[string]string{
		"":                                "no match[] parameter provided",
		"match[]={":                       `invalid parameter "match[]"`,
		"match[]=up&start=x":              `invalid parameter "start"`,
		"match[]=up&max_rows_per_line=-1": "max_rows_per_line",
		"match[]=up&format=promapi":       "JSON lines alone",
		`match[]={x=""}`:                  "at least one non-empty matcher",
	} {
		if got := ask(form); got.code != 400 || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d %s", form, got.code, got.body)
		}
	}
}

// TestALongExport is sent in chunks: compressed when asked, with a trailer, and cut
// off when it cannot be finished.
func TestALongExport(t *testing.T) {
	db := teststorage.New(t)
	app := db.Appender(context.Background())
	const seriesCount, samples = 300, 300
	for i := range seriesCount {
		ls := labels.FromStrings("__name__", "long", "i", fmt.Sprint(i))
		for j := range samples {
			if _, err := app.Append(0, ls, int64(j)*1000, float64(j)*1.1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	s := serve(t, depsOf(ordered{db}), Options{}, true)
	response, err := s.Get(s.base + "/api/v1/export?match[]=long&max_rows_per_line=100") // net/http asks for gzip
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || !response.Uncompressed || strings.Count(string(body), "\n") != 3*seriesCount || response.Trailer.Get(headerSkipped) != "0" {
		t.Errorf("%d lines, compressed %v, trailer %v, %v", strings.Count(string(body), "\n"), response.Uncompressed, response.Trailer, err)
	}
	response, err = s.Get(s.base + "/api/v1/export?match[]=long")
	if err != nil {
		t.Fatal(err)
	}
	s.api.Close() // what the server stops is no whole answer
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("an export that was cut off looks whole")
	}
	response.Body.Close()
}
