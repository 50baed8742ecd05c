package server

import (
	"testing"
	"time"
)

func TestDeleteSeries(t *testing.T) {
	folder := t.TempDir()
	enable := func(c *Config, _ *Options) { c.Web.EnableAdminAPI = true }
	n := startFull(t, folder, enable)
	n.write("/api/v1/write", writeRequest(t, "a", noon, 100)).want(t, "write", 204, "")
	n.write("/api/v1/write", writeRequest(t, "b", noon, 100)).want(t, "write", 204, "")
	n.query("count_over_time(a[1h])", noon).want(t, "before", 200, `"100"]`)
	from := noon.Add(-5 * time.Minute).Format(time.RFC3339)
	n.do("POST", "/api/v1/admin/tsdb/delete_series", "").want(t, "nothing asked", 400, "no match[]")
	n.do("POST", "/api/v1/admin/tsdb/delete_series?match[]={", "").want(t, "no selector", 400, "match[]")
	n.do("POST", "/api/v1/admin/tsdb/delete_series?match[]=a", "", "Sec-Fetch-Site", "cross-site").want(t, "another site", 403, "")
	n.do("GET", "/api/v1/admin/tsdb/delete_series?match[]=a", "").want(t, "by GET", 405, "")
	n.do("POST", "/api/v1/admin/tsdb/delete_series?match[]=a&start="+from, "").want(t, "delete", 204, "")
	ask := func(n *testNode) {
		t.Helper()
		n.query("count_over_time(a[1h])", noon).want(t, "deleted in part", 200, `"79"]`)
		n.query("count_over_time(b[1h])", noon).want(t, "not deleted", 200, `"100"]`)
		n.query("a", noon.Add(4*time.Minute)).want(t, "the newest is gone", 200, `"result":[]`)
		n.get("/api/v1/admin/deletions").want(t, "deletions", 200, `"state":"done"`)
	}
	ask(n)
	n.do("PUT", "/api/v1/admin/tsdb/clean_tombstones", "").want(t, "clean", 204, "")
	n.do("POST", "/api/v1/admin/tsdb/delete_series?match[]=a", "", "X-Scope-OrgID", "other").want(t, "another tenant's", 204, "")
	n.stop()
	n = startFull(t, folder, enable)
	ask(n)
	n.write("/api/v1/write", writeRequest(t, "a", noon, 2)).want(t, "again", 204, "")
	n.query("count_over_time(a[1h])", noon).want(t, "written again", 200, `"81"]`)
	n.do("POST", "/api/v1/admin/tsdb/delete_series?match[]=a&match[]=b", "").want(t, "delete all", 204, "")
	n.get("/api/v1/labels").want(t, "no labels", 200, `"data":[]`)
	n.stop()
	n = startFull(t, folder, nil)
	n.do("POST", "/api/v1/admin/tsdb/delete_series?match[]=a", "").want(t, "without the admin API", 503, "disabled")
}
