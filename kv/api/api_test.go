package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/varve-db/varve/kv"
	"github.com/varve-db/varve/kv/memkv"
	"github.com/varve-db/varve/kv/pebblekv"
)

// door is a handler behind a server on an in-memory listener.
type door struct {
	t       *testing.T
	handler *Handler
	dial    func() (net.Conn, error)

	mu  sync.Mutex
	now time.Time
}

type doorOptions struct {
	store   kv.Store
	options Options
	stream  bool
}

func open(t *testing.T, o doorOptions) *door {
	d := &door{t: t, now: time.UnixMilli(1_700_000_000_000)}
	if o.store == nil {
		o.store = memkv.New(memkv.Options{})
	}
	o.options.Now = func() time.Time {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.now
	}
	d.handler = New(o.store, o.options)
	listener := fasthttputil.NewInmemoryListener()
	server := &fasthttp.Server{Handler: d.handler.Handle, StreamRequestBody: o.stream,
		MaxRequestBodySize: 64 << 20, ReadBufferSize: 32 << 10, Logger: quiet{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		serving.Wait()
	})
	d.dial = listener.Dial
	return d
}

// quiet drops what the server says about connections that tests break.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func (d *door) advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

// send writes the request line as it stands, so that nothing is normalized, and
// headers given as "Name: value".
func (d *door) send(method, path, body string, headers ...string) *fasthttp.Response {
	d.t.Helper()
	conn, err := d.dial()
	if err != nil {
		d.t.Fatalf("dial: %v", err)
	}
	defer conn.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: varve\r\n", method, path)
	if body != "" || method == "PUT" || method == "POST" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n" + body)
	go func() { // the answer may come before all of a refused body is read
		_, _ = conn.Write([]byte(b.String()))
	}()
	response := &fasthttp.Response{SkipBody: method == "HEAD"}
	if err := response.Read(bufio.NewReader(conn)); err != nil {
		d.t.Fatalf("%s %s: %v", method, clip(path), err)
	}
	return response
}

// want sends a request and checks status and body; a body of "*" is not checked.
func (d *door) want(status int, wantBody, method, path, body string, headers ...string) *fasthttp.Response {
	d.t.Helper()
	r := d.send(method, path, body, headers...)
	got := strings.TrimSuffix(string(r.Body()), "\n")
	if r.StatusCode() != status || wantBody != "*" && got != wantBody {
		d.t.Fatalf("%s %s %q: got %d %q, want %d %q", method, clip(path), headers, r.StatusCode(), clip(got), status, wantBody)
	}
	if status >= 400 && method != "HEAD" {
		var e struct{ Status, ErrorType, Error string }
		if err := json.Unmarshal(r.Body(), &e); err != nil || e.Status != "error" || e.ErrorType == "" || e.Error == "" {
			d.t.Fatalf("%s %s: the error is %q", method, clip(path), got)
		}
	}
	return r
}

func etag(r *fasthttp.Response) string { return string(r.Header.Peek("ETag")) }

func TestPutGetDelete(t *testing.T) {
	d := open(t, doorOptions{})
	d.want(404, "*", "GET", "/kv/v1/ks/a", "")
	first := d.want(201, "", "PUT", "/kv/v1/ks/a", "one")
	got := d.want(200, "one", "GET", "/kv/v1/ks/a", "")
	if etag(got) == "" || etag(got) != etag(first) || string(got.Header.ContentType()) != "application/octet-stream" {
		t.Errorf("headers: %s", got.Header.String())
	}
	head := d.want(200, "", "HEAD", "/kv/v1/ks/a", "")
	if head.Header.ContentLength() != 3 || etag(head) != etag(first) {
		t.Errorf("HEAD: %s", head.Header.String())
	}
	second := d.want(204, "", "PUT", "/kv/v1/ks/a", "one")
	if etag(second) == etag(first) {
		t.Error("two writes have the same tag")
	}
	d.want(404, "*", "GET", "/kv/v1/other/a", "")
	d.want(204, "", "DELETE", "/kv/v1/ks/a", "")
	d.want(204, "", "DELETE", "/kv/v1/ks/a", "")
	d.want(404, "*", "GET", "/kv/v1/ks/a", "")
	d.want(404, "", "HEAD", "/kv/v1/ks/a", "")
	again := d.want(201, "", "PUT", "/kv/v1/ks/a", "one")
	if etag(again) == "" {
		t.Error("no tag")
	}
	d.want(201, "", "PUT", "/kv/v1/ks/empty", "")
	d.want(200, "", "GET", "/kv/v1/ks/empty", "")
	binary := string([]byte{0, 1, 0xFF, '\n'})
	d.want(201, "", "PUT", "/kv/v1/ks/bin", binary)
	if got := d.send("GET", "/kv/v1/ks/bin", ""); string(got.Body()) != binary {
		t.Errorf("binary value: got %q", got.Body())
	}
}

func TestKeysAreRaw(t *testing.T) {
	d := open(t, doorOptions{})
	paths := []string{"a/b", "a%2Fb/c", "a//b", "../x", "a/./b", "%00", "%00%ff", "%FF", "a+b", "a%20b", "%25", "a;b", "%3Fq", "b/"}
	for i, p := range paths {
		d.want(201, "", "PUT", "/kv/v1/ks/"+p, fmt.Sprint(i))
	}
	for i, p := range paths {
		d.want(200, fmt.Sprint(i), "GET", "/kv/v1/ks/"+p+"?x=1", "")
	}
	d.want(200, "0", "GET", "/kv/v1/ks/a%2fb", "") // the same key, written otherwise
	d.want(200, "9", "GET", "/kv/v1/ks/%61%20%62", "")
	d.want(404, "*", "GET", "/kv/v1/ks/a", "")
}

func TestBadRequests(t *testing.T) {
	d := open(t, doorOptions{})
	long := strings.Repeat("k", keyBytesMax)
	d.want(201, "", "PUT", "/kv/v1/ks/"+long, "v")
	d.want(201, "", "PUT", "/kv/v1/"+strings.Repeat("n", nameBytesMax)+"/a", "v")
	for _, path := range []string{
		"/kv/v1/ks/" + long + "k", "/kv/v1/" + strings.Repeat("n", nameBytesMax+1) + "/a",
		"/kv/v1/", "/kv/v1//a", "/kv/v1/k%20s/a", "/kv/v1/%6bs/a", "/kv/v1/ks/", "/kv/v1/ks/%", "/kv/v1/ks/%4", "/kv/v1/ks/%g0", "/kv/v1/ks/%0G",
	} {
		d.want(400, "*", "GET", path, "")
	}
	d.want(404, "*", "GET", "/kv/v2/ks/a", "")
	for _, ttl := range []string{"0s", "-1s", "x", "1", "200y"} {
		d.want(400, "*", "PUT", "/kv/v1/ks/a?ttl="+ttl, "v")
	}
	for _, tags := range []string{"abc", `"abc`, `"a" "b"`, "W/", `"a",`} {
		d.want(400, "*", "PUT", "/kv/v1/ks/a", "v", "If-Match: "+tags)
		d.want(400, "*", "GET", "/kv/v1/ks/a", "", "If-None-Match: "+tags)
	}
	d.want(415, "*", "PUT", "/kv/v1/ks/a", "v", "Content-Encoding: gzip")
	d.want(404, "*", "GET", "/kv/v1/ks/a", "")
	for path, allowed := range map[string]string{"/kv/v1/ks": "GET, POST", "/kv/v1/ks/a": "GET, HEAD, PUT, DELETE"} {
		r := d.want(405, "*", "PATCH", path, "")
		if got := string(r.Header.Peek("Allow")); got != allowed {
			t.Errorf("Allow: got %q, want %q", got, allowed)
		}
	}
}

func TestConditions(t *testing.T) {
	d := open(t, doorOptions{})
	const path = "/kv/v1/ks/a"
	d.want(412, "*", "PUT", path, "v", "If-Match: *")
	d.want(412, "*", "PUT", path, "v", `If-Match: "1-1"`)
	d.want(412, "*", "DELETE", path, "", "If-Match: *")
	tag := etag(d.want(201, "", "PUT", path, "one", "If-None-Match: *"))
	d.want(412, "*", "PUT", path, "two", "If-None-Match: *")
	d.want(412, "*", "PUT", path, "two", "If-None-Match: "+tag)
	d.want(412, "*", "PUT", path, "two", `If-Match: "x"`)
	d.want(412, "*", "PUT", path, "two", "If-Match: W/"+tag)
	d.want(200, "one", "GET", path, "", "If-Match: *")
	d.want(412, "*", "GET", path, "", `If-Match: "x"`)
	d.want(200, "one", "GET", path, "", `If-None-Match: "x"`)
	for _, list := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		r := d.want(304, "", "GET", path, "", "If-None-Match: "+list)
		if etag(r) != tag {
			t.Errorf("304 without the tag: %s", r.Header.String())
		}
	}
	next := etag(d.want(204, "", "PUT", path, "two", `If-Match: "x" ,`+tag))
	d.want(412, "*", "PUT", path, "three", "If-Match: "+tag)
	d.want(412, "*", "DELETE", path, "", "If-Match: "+tag)
	d.want(200, "two", "GET", path, "")
	d.want(204, "", "DELETE", path, "", "If-Match: "+next)
	d.want(404, "*", "GET", path, "", "If-None-Match: *")
}

// TestIncrement lets clients increment a number by reading it and writing it
// conditionally: none may be lost.
func TestIncrement(t *testing.T) {
	d := open(t, doorOptions{})
	const clients, rounds = 8, 25
	d.want(201, "", "PUT", "/kv/v1/ks/n", "0")
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range rounds {
				for {
					r := d.send("GET", "/kv/v1/ks/n", "")
					var n int
					if _, err := fmt.Sscan(string(r.Body()), &n); err != nil {
						t.Errorf("read: %v", err)
						return
					}
					if d.send("PUT", "/kv/v1/ks/n", fmt.Sprint(n+1), "If-Match: "+etag(r)).StatusCode() == 204 {
						break
					}
				}
			}
		})
	}
	all.Wait()
	d.want(200, fmt.Sprint(clients*rounds), "GET", "/kv/v1/ks/n", "")
}

func TestLimits(t *testing.T) {
	for _, stream := range []bool{false, true} {
		d := open(t, doorOptions{options: Options{ValueBytesMax: 1000, BatchBytesMax: 2000, BatchOperationsMax: 3}, stream: stream})
		d.want(201, "", "PUT", "/kv/v1/ks/a", strings.Repeat("v", 1000))
		d.want(413, "*", "PUT", "/kv/v1/ks/a", strings.Repeat("v", 1001))
		d.want(413, "*", "PUT", "/kv/v1/ks/a", strings.Repeat("v", 1<<20))
		d.want(200, strings.Repeat("v", 1000), "GET", "/kv/v1/ks/a", "")
		d.want(413, "*", "POST", "/kv/v1/ks", `{"operations":[{"op":"put","key":"a","value":"`+strings.Repeat("v", 1001)+`"}]}`)
		d.want(413, "*", "POST", "/kv/v1/ks", strings.Repeat(" ", 2001))
		one := `{"op":"delete","key":"%d"}`
		ops := fmt.Sprintf(strings.Join([]string{one, one, one, one}, ","), 1, 2, 3, 4)
		d.want(413, "*", "POST", "/kv/v1/ks", `{"operations":[`+ops+`]}`)
	}
}

func TestChunkedBodies(t *testing.T) {
	for _, stream := range []bool{false, true} {
		d := open(t, doorOptions{stream: stream, options: Options{ValueBytesMax: 8}})
		conn, err := d.dial()
		if err != nil {
			t.Fatalf("dial: %v", err)
		}
		put := func(body string) int {
			if _, err := conn.Write([]byte("PUT /kv/v1/ks/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)); err != nil {
				t.Fatalf("write: %v", err)
			}
			var r fasthttp.Response
			if err := r.Read(bufio.NewReader(conn)); err != nil {
				t.Fatalf("read: %v", err)
			}
			return r.StatusCode()
		}
		if got := put("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"); got != 201 {
			t.Errorf("chunked body: got %d", got)
		}
		if got := put("3\r\nabc\r\n6\r\nabcdef\r\n0\r\n\r\n"); got != 413 {
			t.Errorf("long chunked body: got %d", got)
		}
		conn.Close()
		if conn, err = d.dial(); err != nil {
			t.Fatalf("dial: %v", err)
		}
		if got := put("3\r\nxyz\r\nzz\r\n"); got != 400 {
			t.Errorf("malformed chunked body: got %d", got)
		}
		conn.Close()
		d.want(200, "abcde", "GET", "/kv/v1/ks/a", "")
	}
}

func TestExpiry(t *testing.T) {
	d := open(t, doorOptions{})
	d.want(201, "", "PUT", "/kv/v1/ks/a?ttl=30s", "v")
	d.want(201, "", "PUT", "/kv/v1/ks/b", "v", "Varve-TTL: 1h30m")
	d.want(201, "", "PUT", "/kv/v1/ks/c", "v")
	r := d.want(200, "v", "GET", "/kv/v1/ks/a", "")
	if got := string(r.Header.Peek("Varve-Expires")); got != "2023-11-14T22:13:50.000Z" {
		t.Errorf("Varve-Expires: %q", got)
	}
	d.advance(30*time.Second - time.Millisecond)
	d.want(200, "v", "GET", "/kv/v1/ks/a", "")
	d.advance(time.Millisecond)
	d.want(404, "*", "GET", "/kv/v1/ks/a", "")
	d.want(412, "*", "PUT", "/kv/v1/ks/a", "w", "If-Match: "+etag(r))
	d.want(200, `{"rows":[{"key":"b","expires":"2023-11-14T23:43:20.000Z"},{"key":"c"}]}`, "GET", "/kv/v1/ks?values=false", "")
}

func TestExpiredKeyIsNew(t *testing.T) {
	d := open(t, doorOptions{})
	old := etag(d.want(201, "", "PUT", "/kv/v1/ks/a?ttl=1s", "v"))
	d.advance(time.Minute)
	fresh := etag(d.want(201, "", "PUT", "/kv/v1/ks/a", "v", "If-None-Match: *"))
	if fresh == old {
		t.Error("the tag of an expired value came back")
	}
	d.advance(1000 * time.Hour)
	d.want(200, "v", "GET", "/kv/v1/ks/a", "") // the expiry went with the old value
}

func TestSweep(t *testing.T) {
	store := memkv.New(memkv.Options{})
	registry := prometheus.NewRegistry()
	d := open(t, doorOptions{store: store, options: Options{Registerer: registry}})
	for i := range 20 {
		ttl := ""
		if i%2 == 0 {
			ttl = "?ttl=10s"
		}
		d.want(201, "", "PUT", fmt.Sprintf("/kv/v1/ks%d/k%02d%s", i%3, i, ttl), "v")
	}
	var other kv.Batch
	other.Set([]byte("N\x00"), []byte("not ours"))
	if err := store.Apply(&other, kv.Sync); err != nil {
		t.Fatalf("apply: %v", err)
	}
	sweep := func(max int) Swept {
		s, err := d.handler.Sweep(t.Context(), d.handler.options.Now(), max)
		if err != nil {
			t.Fatalf("sweep: %v", err)
		}
		return s
	}
	if got := sweep(100); got != (Swept{Looked: 20, Round: true}) {
		t.Fatalf("nothing has expired: %+v", got)
	}
	d.advance(10 * time.Second)
	total, steps := Swept{}, 0
	for !total.Round {
		s := sweep(6)
		total.Looked, total.Removed, total.Round = total.Looked+s.Looked, total.Removed+s.Removed, s.Round
		steps++
	}
	if total.Looked != 20 || total.Removed != 10 || steps != 4 {
		t.Fatalf("sweep in steps: %+v in %d steps", total, steps)
	}
	if got := sweep(100); got != (Swept{Looked: 10, Round: true}) {
		t.Fatalf("after the sweep: %+v", got)
	}
	if _, err := store.Get([]byte("N\x00")); err != nil {
		t.Errorf("the sweep touched another family: %v", err)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(
		"# HELP varve_kv_api_swept_keys_total Expired keys removed.\n# TYPE varve_kv_api_swept_keys_total counter\nvarve_kv_api_swept_keys_total 10\n",
	), "varve_kv_api_swept_keys_total"); err != nil {
		t.Error(err)
	}
}

func TestList(t *testing.T) {
	d := open(t, doorOptions{})
	d.want(200, `{"rows":[]}`, "GET", "/kv/v1/ks", "")
	for _, p := range []string{"ks/a", "ks/a%00", "ks/b%2F1", "ks/b%2F2", "ks/b%ff", "ks/c%20d", "ks2/z", "k/y"} {
		d.want(201, "", "PUT", "/kv/v1/"+p, "v<>")
	}
	d.want(204, "", "PUT", "/kv/v1/ks/b%ff", "\xff")
	keys := func(query string) string {
		var page struct {
			Rows []struct{ Key, Key64, Value, Value64, ETag string }
			Next string
		}
		r := d.want(200, "*", "GET", "/kv/v1/ks"+query, "")
		if err := json.Unmarshal(r.Body(), &page); err != nil {
			t.Fatalf("list: %v: %s", err, r.Body())
		}
		var got []string
		for _, row := range page.Rows {
			if strings.Contains(query, "values=false") != (row.ETag == "") || row.ETag != "" && row.Value != "v<>" && row.Value64 != "/w==" {
				t.Errorf("row %+v", row)
			}
			got = append(got, row.Key+row.Key64)
		}
		return strings.Join(got, ",") + ";" + page.Next
	}
	for query, want := range map[string]string{
		"":                            "a,a\x00,b/1,b/2,Yv8=,c d;",
		"?values=false":               "a,a\x00,b/1,b/2,Yv8=,c d;",
		"?prefix=b":                   "b/1,b/2,Yv8=;",
		"?prefix=b/":                  "b/1,b/2;",
		"?prefix=b%ff":                "Yv8=;",
		"?prefix=x":                   ";",
		"?limit=2":                    "a,a\x00;a%00",
		"?limit=2&after=a%00":         "b/1,b/2;b%2F2",
		"?limit=2&after=b%2F2":        "Yv8=,c d;",
		"?prefix=b&limit=1&after=b/1": "b/2;b%2F2",
		"?prefix=b&after=a":           "b/1,b/2,Yv8=;",
		"?prefix=b&after=c":           ";",
		"?after=c+d":                  ";",
	} {
		if got := keys(query); got != want {
			t.Errorf("list %q: got %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=x", "?values=2", "?prefix=" + strings.Repeat("p", keyBytesMax+1)} {
		d.want(400, "*", "GET", "/kv/v1/ks"+query, "")
	}
	if body := string(d.send("GET", "/kv/v1/ks?limit=1", "").Body()); !strings.Contains(body, `"value":"v<>"`) {
		t.Errorf("list: %s", body)
	}
}

func TestPagesAreBounded(t *testing.T) {
	d := open(t, doorOptions{options: Options{PageRowsMax: 5, PageBytesMax: 250}})
	for i := range 12 {
		d.want(201, "", "PUT", fmt.Sprintf("/kv/v1/ks/%02d", i), strings.Repeat("v", 100))
	}
	for query, rows := range map[string]int{"?limit=1000": 3, "?limit=1000&values=false": 5, "?limit=2": 2} {
		var page struct{ Rows []any }
		if err := json.Unmarshal(d.send("GET", "/kv/v1/ks"+query, "").Body(), &page); err != nil || len(page.Rows) != rows {
			t.Errorf("list %s: got %d rows, %v; want %d", query, len(page.Rows), err, rows)
		}
	}
}

func TestBatch(t *testing.T) {
	d := open(t, doorOptions{})
	tag := etag(d.want(201, "", "PUT", "/kv/v1/ks/a", "1"))
	quoted := strings.ReplaceAll(tag, `"`, `\"`)
	const path = "/kv/v1/ks"
	r := d.want(200, "*", "POST", path, `{"operations":[
		{"op":"put","key":"a","value":"2","if_match":"`+quoted+`"},
		{"op":"put","key64":"AP8=","value64":"/w==","if_none_match":"*"},
		{"op":"put","key":"t","value":"","ttl":"5s"},
		{"op":"delete","key":"none"},
		{"op":"check","key":"a","if_match":"*"},
		{"op":"check","key":"none","if_none_match":"*"}]}`)
	var got batchAnswer
	if err := json.Unmarshal(r.Body(), &got); err != nil || len(got.Results) != 6 {
		t.Fatalf("batch: %v: %s", err, r.Body())
	}
	a := d.want(200, "2", "GET", "/kv/v1/ks/a", "")
	if got.Results[0].ETag != etag(a) || got.Results[0].ETag == tag {
		t.Errorf("tag of a put: %q, GET says %q", got.Results[0].ETag, etag(a))
	}
	if *got.Results[3].Existed || !*got.Results[4].Existed || *got.Results[5].Existed {
		t.Errorf("existed: %s", r.Body())
	}
	d.want(200, "\xff", "GET", "/kv/v1/ks/%00%ff", "")
	d.advance(5 * time.Second)
	d.want(404, "*", "GET", "/kv/v1/ks/t", "")

	for body, status := range map[string]int{
		`{"operations":[{"op":"put","key":"x","value":"1"},{"op":"check","key":"a","if_match":"` + quoted + `"}]}`: 412,
		`{"operations":[{"op":"put","key":"x","value":"1"},{"op":"delete","key":"y","if_match":"*"}]}`:             412,
		`{"operations":[{"op":"put","key":"x","value":"1"},{"op":"put","key64":"eA==","value":"2"}]}`:              400,
		`{"operations":[{"op":"put","key":"x","value":"1"},{"op":"check","key":"a"}]}`:                             400,
		`{"operations":[{"op":"put","key":"x","value":"1","if_mach":"*"}]}`:                                        400,
		`{"operations":[{"op":"put","key":"x","value":"1","if_match":"abc"}]}`:                                     400,
		`{"operations":[{"op":"put","key":"x"}]}`:                                                                  400,
		`{"operations":[{"op":"put","key":"x","value":"1","value64":""}]}`:                                         400,
		`{"operations":[{"op":"put","key":"x","value64":"!"}]}`:                                                    400,
		`{"operations":[{"op":"put","value":"1"}]}`:                                                                400,
		`{"operations":[{"op":"put","key":"","value":"1"}]}`:                                                       400,
		`{"operations":[{"op":"put","key":"x","value":"1","ttl":"x"}]}`:                                            400,
		`{"operations":[{"op":"delete","key":"x","value":"1"}]}`:                                                   400,
		`{"operations":[{"op":"move","key":"x"}]}`:                                                                 400,
		`{"operations":[{"op":"put","key":"x","value":"1"}]}{}`:                                                    400,
		`{"operations":[{"op":"put","key":"x","value":"1"}`:                                                        400,
		``:                  400,
		`{"operations":[]}`: 200,
		`{}`:                200,
	} {
		d.want(status, "*", "POST", path, body)
		d.want(404, "*", "GET", "/kv/v1/ks/x", "")
	}
}

func TestStoreFailures(t *testing.T) {
	var refusal error
	store := memkv.New(memkv.Options{Refuse: func() error { return refusal }})
	d := open(t, doorOptions{store: store})
	d.want(201, "", "PUT", "/kv/v1/ks/a", "1")
	for _, c := range []struct {
		err    error
		status int
	}{{kv.ErrFull, 503}, {fmt.Errorf("disk: %w", kv.ErrFull), 503}, {errors.New("broken"), 500}} {
		refusal = c.err
		d.want(c.status, "*", "PUT", "/kv/v1/ks/a", "2")
		d.want(c.status, "*", "DELETE", "/kv/v1/ks/a", "")
		d.want(c.status, "*", "POST", "/kv/v1/ks", `{"operations":[{"op":"put","key":"a","value":"2"}]}`)
		d.want(200, "1", "GET", "/kv/v1/ks/a", "")
	}
	refusal = nil
	var b kv.Batch
	b.Set([]byte("Kks\x00\x01bad"), []byte("\x09short"))
	if err := store.Apply(&b, kv.Sync); err != nil {
		t.Fatalf("apply: %v", err)
	}
	d.want(500, "*", "GET", "/kv/v1/ks/bad", "")
	d.want(500, "*", "PUT", "/kv/v1/ks/bad", "over it")
	d.want(500, "*", "GET", "/kv/v1/ks", "")
	if err := store.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	d.want(503, "*", "GET", "/kv/v1/ks/a", "")
	d.want(503, "*", "GET", "/kv/v1/ks", "")
}

func TestOnDiskEngine(t *testing.T) {
	files := vfs.NewCrashableMem()
	openStore := func(files vfs.FS) kv.Store {
		s, err := pebblekv.Open("data", pebblekv.Options{FS: files})
		if err != nil {
			t.Fatalf("open store: %v", err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close store: %v", err)
			}
		})
		return s
	}
	d := open(t, doorOptions{store: openStore(files)})
	value := string(bytes.Repeat([]byte{0, 1, 2, 3}, 1<<18))
	tag := etag(d.want(201, "", "PUT", "/kv/v1/ks/big", value))
	d.want(200, "*", "POST", "/kv/v1/ks", `{"operations":[{"op":"put","key":"a","value":"1"},{"op":"put","key":"b","value":"2","ttl":"1s"}]}`)
	d.want(412, "*", "PUT", "/kv/v1/ks/big", "x", "If-None-Match: *")
	crashed := files.CrashClone(vfs.CrashCloneCfg{})
	after := open(t, doorOptions{store: openStore(crashed)})
	if got := after.send("GET", "/kv/v1/ks/big", ""); string(got.Body()) != value || etag(got) != tag {
		t.Errorf("after a crash: %d bytes, tag %s", len(got.Body()), etag(got))
	}
	after.advance(time.Second)
	after.want(200, `{"rows":[{"key":"a"},{"key":"big"}]}`, "GET", "/kv/v1/ks?values=false", "")
	if s, err := after.handler.Sweep(t.Context(), after.handler.options.Now(), 10); err != nil || s != (Swept{Looked: 3, Removed: 1, Round: true}) {
		t.Errorf("sweep: %+v, %v", s, err)
	}
}
