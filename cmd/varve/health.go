package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/internal/connect"
)

const healthHelp = `Ask a server whether it is ready, for the health check of a container.

  varve health
  varve health --url=https://varve:7480 --tls.ca-file=ca.crt --timeout=1s

Exits with 0 if it is, else with 1.

`

// asked are the flags of varve health.
type asked struct {
	url     string
	timeout time.Duration
	reach   connect.Options
}

func (a *asked) set(out io.Writer) *pflag.FlagSet {
	set := newFlags("health", healthHelp, out)
	set.StringVar(&a.url, "url", "http://127.0.0.1:7480", "address of the server")
	set.DurationVar(&a.timeout, "timeout", 3*time.Second, "how long to wait for its answer")
	bindReach(set, &a.reach)
	return set
}

// health asks a server whether it is ready.
func (p *program) health(ctx context.Context, args []string) error {
	var a asked
	if err := parseAlone(a.set(p.stdout), args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(a.url, "/")+"/-/ready", nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	client, err := a.reach.Client(1)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s: %s", a.url, response.Status, strings.TrimSpace(string(text)))
	}
	fmt.Fprintln(p.stdout, strings.TrimSpace(string(text)))
	return nil
}

// usage marks a flag's error as one of usage; help is none.
func usage(err error) error {
	if err == pflag.ErrHelp {
		return err
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}
