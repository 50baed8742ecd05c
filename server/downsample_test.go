package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/varve-db/varve/query/plan"
)

// TestQueriesReadWindows has windows made of a day that is over, and asks with and
// without them.
func TestQueriesReadWindows(t *testing.T) {
	folder := t.TempDir()
	set := func(c *Config, _ *Options) {
		c.Web.EnableAdminAPI = true
		c.Downsample.Widths = [2]time.Duration{5 * time.Minute, time.Hour}
	}
	day := noon.Add(-48 * time.Hour)
	n := startFull(t, folder, set)
	count := func(n *testNode, more string) answer {
		return n.get(fmt.Sprintf("/api/v1/query_range?query=count_over_time(a[1h])&start=%d&end=%d&step=3600%s",
			day.Add(-2*time.Hour).Unix(), day.Add(4*time.Hour).Unix(), more))
	}
	samples := func(n *testNode, more string) {
		t.Helper()
		if a := count(n, more); a.code != 200 || strings.Contains(a.body, "resolution") {
			t.Errorf("samples are wanted: %+v", a)
		}
	}
	n.write("/api/v1/write", writeRequest(t, "a", day, 100)).want(t, "write", 204, "")
	n.do("POST", "/api/v1/admin/tsdb/seal", "").want(t, "seal", 200, "")
	n.do("POST", "/api/v1/admin/tsdb/downsample", "").want(t, "downsample", 200, "")
	n.get("/api/v1/status/tsdb/blocks").want(t, "blocks", 200, `"resolution":"5m"`)
	count(n, "").want(t, "windows", 200, "resolution 1h")
	count(n, "&max_source_resolution=5m").want(t, "narrower windows", 200, "resolution 5m")
	samples(n, "&max_source_resolution=0")
	count(n, "&max_source_resolution=7x").want(t, "no width", 400, "max_source_resolution")
	n.stop()
	n = startFull(t, folder, func(c *Config, o *Options) { set(c, o); c.Query.Coarsest = plan.RawOnly })
	samples(n, "")
	count(n, "&max_source_resolution=auto").want(t, "a request goes before the setting", 200, "resolution 1h")
	n.stop()
}
