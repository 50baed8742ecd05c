package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

var ownMetric = regexp.MustCompile(`\bvarve_[a-z0-9_]+`)

// checkExpression evaluates an expression, and looks for the metrics of the product
// that it names in the list of OPERATIONS.md, which another test compares with the
// registry.
func checkExpression(t *testing.T, n *testNode, where, expression string) {
	t.Helper()
	if a := n.query(expression, noon); a.code != http.StatusOK {
		t.Errorf("%s: %s\nis answered %d: %s", where, expression, a.code, a.body)
	}
	text, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range ownMetric.FindAllString(expression, -1) {
		if !strings.Contains(string(text), "\n| `"+strings.TrimSuffix(name, "_bucket")+"` |") {
			t.Errorf("%s: there is no metric %s", where, name)
		}
	}
}

// TestAlertsAreSound evaluates the expressions of alerts.yml and lists the alerts in
// OPERATIONS.md.
func TestAlertsAreSound(t *testing.T) {
	text, err := os.ReadFile("../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	n := startFull(t, t.TempDir(), nil)
	var s strings.Builder
	s.WriteString("| Alert | When | It means | What to do |\n|---|---|---|---|\n")
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			checkExpression(t, n, r.Alert, r.Expr)
			when := "`" + strings.ReplaceAll(r.Expr, "|", `\|`) + "`"
			if r.For != "" {
				when += " for " + r.For
				if d, err := time.ParseDuration(r.For); err != nil || d <= 0 {
					t.Errorf("%s waits for %q", r.Alert, r.For)
				}
			}
			severity := r.Labels["severity"]
			if seen[r.Alert] || !regexp.MustCompile("^(critical|warning|info)$").MatchString(severity) || r.Annotations["summary"] == "" || r.Annotations["action"] == "" {
				t.Errorf("%s comes twice, or lacks a severity, a summary or an action", r.Alert)
			}
			seen[r.Alert] = true
			fmt.Fprintf(&s, "| `%s`, %s | %s | %s | %s |\n", r.Alert, severity, when, r.Annotations["summary"], r.Annotations["action"])
		}
	}
	checkSection(t, operations, "alerts", s.String())
}

// TestDashboardsAreSound evaluates every expression of Grafana's dashboards.
func TestDashboardsAreSound(t *testing.T) {
	n := startFull(t, t.TempDir(), nil)
	paths, err := filepath.Glob("../web/grafana/dashboards/*.json")
	if err != nil || len(paths) != 2 {
		t.Fatalf("dashboards %q: %v", paths, err)
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$__interval", "15s", "$__range", "1h", "$instance", ".*")
	uids := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			UID, Title string
			Panels     []struct {
				Title, Type string
				Targets     []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if board.UID == "" || uids[board.UID] || len(board.Panels) < 10 {
			t.Errorf("%s: uid %q, %d panels", path, board.UID, len(board.Panels))
		}
		uids[board.UID] = true
		for _, p := range board.Panels {
			if p.Type != "row" && p.Type != "text" && len(p.Targets) == 0 {
				t.Errorf("%s: %s asks nothing", path, p.Title)
			}
			for _, target := range p.Targets {
				expression := variables.Replace(target.Expr)
				if strings.Contains(expression, "$") {
					t.Errorf("%s: %s has an unknown variable: %s", path, p.Title, target.Expr)
				}
				checkExpression(t, n, path+": "+p.Title, expression)
			}
		}
	}
}
