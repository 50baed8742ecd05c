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

// health asks a server whether it is ready.
func (p *program) health(ctx context.Context, args []string) error {
	set := pflag.NewFlagSet("health", pflag.ContinueOnError)
	set.SetOutput(p.stdout)
	url := set.String("url", "http://127.0.0.1:7480", "address of the server")
	timeout := set.Duration("timeout", 3*time.Second, "how long to wait for its answer")
	var reach connect.Options
	bindReach(set, &reach)
	if err := set.Parse(args); err != nil {
		return usage(err)
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, set.Arg(0))
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(*url, "/")+"/-/ready", nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	client, err := reach.Client(1)
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
		return fmt.Errorf("%s says %s: %s", *url, response.Status, strings.TrimSpace(string(text)))
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
