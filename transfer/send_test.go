package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varve-db/varve/series"
)

// made is a source of parts with one sample each; the parts that were read are
// written down.
type made struct {
	parts int
	read  []string
}

func (*made) Name() string { return "made" }
func (*made) Close() error { return nil }

func (m *made) Parts(context.Context) ([]Part, error) {
	var parts []Part
	for i := range m.parts {
		parts = append(parts, Part{Name: fmt.Sprintf("part-%d", i), Size: 1})
	}
	return parts, nil
}

func (m *made) Read(_ context.Context, p Part, to Sink) error {
	m.read = append(m.read, p.Name)
	var b series.Batch
	b.AddSeries(labels.FromStrings("__name__", "a", "part", p.Name))
	b.AddSample(1, 0, 1)
	return to.Batch(&b)
}

// script is a server that gives its answers one after the other, the last again
// and again.
func script(t *testing.T, answers ...func(http.ResponseWriter)) (*Target, *int) {
	t.Helper()
	var mu sync.Mutex
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		answers[min(requests, len(answers)-1)](w)
		requests++
	}))
	t.Cleanup(server.Close)
	return &Target{URL: server.URL, HTTP: server.Client(), Retries: 3, Sleep: func(context.Context, time.Duration) error { return nil }}, &requests
}

func answer(status, samples int, text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i, name := range writtenHeaders {
			w.Header().Set(name, fmt.Sprint(samples*(1-min(i, 1))))
		}
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

func plain(status int, text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

func TestRetries(t *testing.T) {
	to, requests := script(t, plain(503, "overloaded"), plain(429, "slow down"), answer(204, 1, ""))
	report, err := Import(t.Context(), &made{parts: 3}, to, Options{Connections: 1})
	if err != nil || report.Samples != 3 || report.Retries != 2 || *requests != 5 || report.Parts != 3 || report.LostTotal() != 0 {
		t.Errorf("got %+v, %v after %d requests", report, err, *requests)
	}
	to, requests = script(t, plain(500, "broken"))
	if _, err = Import(t.Context(), &made{parts: 3}, to, Options{}); err == nil || !strings.Contains(err.Error(), "status 500: broken") || *requests > 8 {
		t.Errorf("got %v after %d requests", err, *requests)
	}
	to.HTTP = &http.Client{Transport: broken{}}
	if report, err = Import(t.Context(), &made{parts: 1}, to, Options{}); !errors.Is(err, errBroken) || report.Retries != 3 {
		t.Errorf("got %+v, %v", report, err)
	}
}

// broken is a network that is.
type broken struct{}

var errBroken = errors.New("no route")

func (broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, errBroken }

func TestWhatIsRefusedIsReported(t *testing.T) {
	to, _ := script(t,
		answer(400, 0, `refused 1 sample (too_old): the sample's time is long ago, first in series {a="b"}`),
		answer(400, 0, "something went wrong"), answer(204, 1, ""))
	report, err := Import(t.Context(), &made{parts: 4}, to, Options{Connections: 1})
	if err != nil || report.Samples != 2 || report.LostTotal() != 2 {
		t.Fatalf("got %+v, %v", report, err)
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"samples     2\n", "lost        1 (too_old): the sample's time is long ago", "lost        1 (refused): something went wrong", "series      4\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

func TestFinalAnswers(t *testing.T) {
	for _, c := range []struct {
		answer func(http.ResponseWriter)
		want   string
	}{
		{plain(401, "who are you?"), "status 401: who are you?"},
		{plain(400, "no protobuf"), "status 400: no protobuf"},
		{plain(204, ""), "does not say what it wrote"},
	} {
		to, requests := script(t, c.answer)
		if _, err := Import(t.Context(), &made{parts: 9}, to, Options{Connections: 1}); err == nil || !strings.Contains(err.Error(), c.want) || *requests != 1 {
			t.Errorf("got %v after %d requests, want %s", err, *requests, c.want)
		}
	}
}

func TestState(t *testing.T) {
	o := Options{State: filepath.Join(t.TempDir(), "state.json"), Connections: 1}
	to, _ := script(t, answer(204, 1, ""), answer(204, 1, ""), plain(403, "stop"))
	first := &made{parts: 5}
	if _, err := Import(t.Context(), first, to, o); err == nil {
		t.Fatal("the third part was accepted")
	}
	again, _ := script(t, answer(204, 1, ""))
	again.HTTP = &http.Client{Transport: redirected{again.URL}}
	again.URL = to.URL
	second := &made{parts: 5}
	report, err := Import(t.Context(), second, again, o)
	if err != nil || report.Parts != 3 || report.Skipped != 2 || strings.Join(second.read, " ") != "part-2 part-3 part-4" {
		t.Errorf("got %+v, %v, read %v", report, err, second.read)
	}
	lossy := Options{State: filepath.Join(t.TempDir(), "state.json"), Connections: 1}
	to, _ = script(t, answer(204, 1, ""), answer(400, 0, "no"), answer(204, 1, ""))
	if report, err := Import(t.Context(), &made{parts: 3}, to, lossy); err != nil || report.LostTotal() != 1 {
		t.Errorf("got %+v, %v", report, err)
	}
	if report, err := Import(t.Context(), &made{parts: 3}, to, lossy); err != nil || report.Parts != 1 || report.Skipped != 2 {
		t.Errorf("a part of which something was lost: got %+v, %v", report, err)
	}
	again.URL = "http://127.0.0.1:1"
	if _, err := Import(t.Context(), second, again, o); err == nil || !strings.Contains(err.Error(), "is of an import from made") {
		t.Errorf("another target: got %v", err)
	}
	if err := os.WriteFile(o.State, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(t.Context(), second, again, o); err == nil || !strings.Contains(err.Error(), "read state") {
		t.Errorf("a broken file: got %v", err)
	}
}

// redirected sends every request to one server.
type redirected struct{ to string }

func (r redirected) RoundTrip(q *http.Request) (*http.Response, error) {
	q.URL.Host = strings.TrimPrefix(r.to, "http://")
	return http.DefaultTransport.RoundTrip(q)
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	to, _ := script(t, plain(503, "wait"))
	to.Sleep = func(ctx context.Context, _ time.Duration) error {
		cancel(stop)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if _, err := Import(ctx, &made{parts: 100}, to, Options{}); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func TestProgress(t *testing.T) {
	c := newCounts("a", "b")
	c.wrote(request{samples: 1000}, [3]int{1000}, "")
	clock := time.Unix(0, 0)
	p := newProgress(nil, func() time.Time { return clock }, []Part{{Name: "one", Size: 1}, {Name: "two", Size: 3}}, c)
	clock = clock.Add(10 * time.Second)
	p.at(1)
	if got, want := p.line(), "██████░░░░░░░░░░░░░░░░░░  25 %  part 2 of 2 two  1000 samples, 100/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
