package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/varve-db/varve/internal/terminal"
)

// apiServer answers with a reply by path, and notes the forms it was sent.
func apiServer(t *testing.T, status int, replies map[string]string) (url string, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		*asked = append(*asked, r.URL.Path+"?"+r.Form.Encode())
		w.WriteHeader(status)
		io.WriteString(w, replies[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

const (
	instantReply = `{"status":"success","warnings":["careful"],"infos":["by the way"],"data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1760000000,"1"]}]}}`
	rangeReply   = `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"a"},"values":[[1759996400,"0"],[1759998200,"5"],[1760000000,"10"]]}]}}`
)

// askVarve runs varve query as if it were 9 October 2025, 08:53:20 UTC.
func askVarve(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	c := questioner{stdout: &out, stderr: &errs, now: time.Unix(1_760_000_000, 0).UTC(), screen: terminal.Size{Columns: 50, Rows: 12}}
	err = c.run(t.Context(), args)
	return out.String(), errs.String(), err
}

func TestQueryFormats(t *testing.T) {
	url, asked := apiServer(t, 200, map[string]string{"/api/v1/query": instantReply, "/api/v1/query_range": rangeReply})
	for _, c := range []struct{ args, form, want string }{
		{"up", "/api/v1/query?query=up&time=1760000000", "METRIC  JOB  VALUE\nup      a        1\n"},
		{"up --time=-1h --timeout=5s", "/api/v1/query?query=up&time=1759996400&timeout=5", "METRIC  JOB  VALUE\nup      a        1\n"},
		{"up --format=csv", "/api/v1/query?query=up&time=1760000000", "time,__name__,job,value\n2025-10-09T08:53:20.000Z,up,a,1\n"},
		{"up --format=json", "/api/v1/query?query=up&time=1760000000", instantReply + "\n"},
		{"up --start=-1h --step=30m --format=table", "/api/v1/query_range?end=1760000000&query=up&start=1759996400&step=1800",
			"TIME                 JOB  VALUE\n2025-10-09 07:53:20  a        0\n2025-10-09 08:23:20  a        5\n2025-10-09 08:53:20  a       10\n"},
		{"up --start=now-1d --end=now-12h --format=csv", "/api/v1/query_range?end=1759956800&query=up&start=1759913600&step=600",
			"time,job,value\n2025-10-09T07:53:20.000Z,a,0\n2025-10-09T08:23:20.000Z,a,5\n2025-10-09T08:53:20.000Z,a,10\n"},
	} {
		stdout, stderr, err := askVarve(t, append(strings.Fields(c.args), "--server="+url)...)
		if err != nil || stdout != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.args, stdout, err, c.want)
		}
		if form := (*asked)[len(*asked)-1]; form != c.form {
			t.Errorf("%s: asked %s, want %s", c.args, form, c.form)
		}
		if strings.HasPrefix(c.form, "/api/v1/query?") && stderr != "varve: warning: careful\nvarve: note: by the way\n" {
			t.Errorf("%s: standard error %q", c.args, stderr)
		}
	}
}

func TestQueryDrawsRanges(t *testing.T) {
	url, asked := apiServer(t, 200, map[string]string{"/api/v1/query_range": rangeReply})
	const want = `10┤                                        ⢀⣀⠤⠔⠒⠉a
  │                                  ⣀⣀⠤⠔⠒⠉⠁
  │                            ⣀⡠⠤⠒⠊⠉
 5┤                      ⣀⡠⠤⠒⠊⠉
  │                ⢀⣀⠤⠒⠊⠉
  │           ⣀⠤⠔⠒⠉⠁
  │     ⣀⡠⠤⠒⠊⠉
 0┤⣀⠤⠔⠒⠉
  └┬─────────────────────┬──────────────────────┬
   07:53:20          08:23:20             08:53:20
a {job="a"}  min 0  max 10  last 10
`
	for _, args := range [][]string{{"up", "--start=-1h"}, {"up", "--format=graph"}} {
		stdout, _, err := askVarve(t, append(args, "--server="+url)...)
		if err != nil {
			t.Fatal(err)
		}
		if form := (*asked)[len(*asked)-1]; form != "/api/v1/query_range?end=1760000000&query=up&start=1759996400&step=60" {
			t.Errorf("asked %s", form)
		}
		// The reply's points are further apart than the step, so they stand alone.
		if !strings.HasSuffix(stdout, "a {job=\"a\"}  min 0  max 10  last 10\n") || strings.Count(stdout, "\n") != 11 {
			t.Errorf("got\n%s", stdout)
		}
	}
	stdout, _, err := askVarve(t, "up", "--start=-1h", "--step=30m", "--server="+url)
	if err != nil || stdout != want {
		t.Errorf("got\n%s%v", stdout, err)
	}
}

func TestQueryErrors(t *testing.T) {
	url, _ := apiServer(t, 400, map[string]string{"/api/v1/query": `{"status":"error","errorType":"bad_data","error":"1:3: parse error: unexpected end of input"}`})
	for _, c := range []struct {
		args  string
		usage bool
		want  string
	}{
		{"up(", false, "bad_data: 1:3: parse error: unexpected end of input"},
		{"up --server=http://127.0.0.1:1", false, "ask http://127.0.0.1:1"},
		{"", true, "0 arguments were given"},
		{"up down", true, "2 arguments were given"},
		{"up --format=xml", true, `--format is "xml"`},
		{"up --time=yesterday", true, `--time: "yesterday" is not a time`},
		{"up --start=-1h --time=now", true, "give one"},
		{"up --end=now", true, "needs --start"},
		{"up --start=now --end=-1h", true, "--end is before --start"},
		{"up --start=-1h --step=x", true, "not a duration"},
		{"up --header=x", true, "must have the form"},
		{"up --nonsense", true, "unknown flag"},
	} {
		_, _, err := askVarve(t, append([]string{"--server=" + url}, strings.Fields(c.args)...)...)
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, errUsage) != c.usage {
			t.Errorf("%s: got %v, want %s", c.args, err, c.want)
		}
	}
}
