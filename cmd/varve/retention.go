package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/internal/connect"
	"github.com/varve-db/varve/server"
)

const retentionHelp = `Tell what retention would remove now, by policy. Nothing is removed.

  varve retention --dry-run                                  by the policies of the server at 127.0.0.1:7480
  varve retention --dry-run --config.file=varve.yml          by those of a file, before it is taken over
  varve retention --dry-run --storage.path=data --config.file=varve.yml   of a folder that no server uses

`

// retainer asks what retention would remove.
type retainer struct {
	dryRun, json       bool
	url, path, file    string
	reach              connect.Options
	stdout             io.Writer
	env                []string
	readConfiguredFile func(path string) ([]byte, error)
}

func (p *program) retentionCommand(ctx context.Context, args []string) error {
	r := retainer{stdout: p.stdout, env: p.env, readConfiguredFile: p.readFile}
	if err := parseAlone(r.set(), args); err != nil {
		return err
	}
	if !r.dryRun {
		return fmt.Errorf("%w: retention runs in the server; say --dry-run to see what it would remove", errUsage)
	}
	var load []string
	if r.file != "" {
		load = append(load, "--config.file="+r.file)
	}
	if r.path != "" {
		load = append(load, "--storage.path="+r.path)
	}
	config, err := server.Load(server.Sources{Args: load, Env: r.env, ReadFile: r.readConfiguredFile})
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if r.path != "" {
		return server.RetentionPreview{Config: config, Now: time.Now, JSON: r.json, Out: r.stdout}.Run(ctx)
	}
	policies := ""
	if r.file != "" {
		policies = "[]"
		if list := config.Retention.Policies; list != nil && len(*list) > 0 {
			policies = list.YAML("")
		}
	}
	return r.ask(ctx, policies)
}

func (r *retainer) set() *pflag.FlagSet {
	set := newFlags("retention", retentionHelp, r.stdout)
	set.BoolVar(&r.dryRun, "dry-run", false, "tell what would go")
	set.StringVar(&r.url, "url", "http://127.0.0.1:7480", "address of the server")
	set.StringVar(&r.path, "storage.path", "", "data folder that no server uses, instead of a server")
	set.StringVar(&r.file, "config.file", "", "file whose retention policies count instead of the server's")
	set.BoolVar(&r.json, "json", false, "report in JSON")
	bindReach(set, &r.reach)
	return set
}

// ask asks a server; without policies by its own.
func (r *retainer) ask(ctx context.Context, policies string) error {
	client, err := r.reach.Client(1)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(r.url, "/")+"/api/v1/admin/retention/dry_run", strings.NewReader(policies))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", r.url, err)
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("ask %s: answered %s: %w", r.url, response.Status, err)
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return server.WriteRetention(r.stdout, answer.Data, r.json)
}
