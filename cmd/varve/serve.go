package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/server"
)

const serveHelp = `varve serve runs the database.

  varve serve                                  data in ./data, HTTP on 127.0.0.1:7480
  varve serve --storage.path=/var/lib/varve --retention.time=180d
  varve serve --config.file=/etc/varve.yml     the same settings in a file

Every flag is also an environment variable (--storage.path: VARVE_STORAGE_PATH)
and a setting of --config.file; flags win over the environment, that over the file.

`

// serve runs a node until ctx ends.
func (p *program) serve(ctx context.Context, args []string) error {
	load := func() (server.Config, error) {
		return server.Load(server.Sources{Args: args, Env: p.env, ReadFile: p.readFile})
	}
	config, err := load()
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(p.stdout, serveHelp+"Flags:\n"+server.Flags().FlagUsagesWrapped(100))
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	log, level := server.NewLogger(p.stderr, config.Log)
	log.Info("varve starts", "version", version, "storage", config.Storage.Path)
	node, err := server.Open(ctx, config, server.Options{
		Build: build(), Log: log, Level: level, Reload: load, KeepMemoryLimit: p.has("GOMEMLIMIT"),
	})
	if err != nil {
		return advised(err)
	}
	go reloadOnHangup(ctx, node, log)
	return errors.Join(advised(node.Serve(ctx)), node.Close())
}

// reloadOnHangup reloads the configuration at every SIGHUP until ctx ends.
func reloadOnHangup(ctx context.Context, node *server.Node, log *slog.Logger) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			if err := node.Reload(); err != nil {
				log.Error("reload failed", "err", err)
			}
		}
	}
}

// advised adds to an error what a person can do about it.
func advised(err error) error {
	if advice := server.Advice(err); err != nil && advice != "" {
		return fmt.Errorf("%w\n       %s", err, advice)
	}
	return err
}

func (p *program) has(variable string) bool {
	for _, e := range p.env {
		if strings.HasPrefix(e, variable+"=") {
			return true
		}
	}
	return false
}
