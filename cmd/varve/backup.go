package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/varve-db/varve/internal/terminal"
	"github.com/varve-db/varve/server"
)

const backupHelp = `Back up a data folder, while its server goes on, into a folder or an S3 bucket.
What an earlier backup holds is not sent again.

  varve backup --to=/mnt/backups                 of ./data, by the server at 127.0.0.1:7480
  varve backup --to=s3://bucket/varve --keep-last=7 --keep-within=720h
  varve backup --to=/mnt/backups --offline       of a folder that no server uses
  varve backup --to=/mnt/backups --list
  varve backup --to=/mnt/backups --verify=latest

The server takes the snapshot and must run with --web.enable-admin-api, on this
machine. Keys for S3 come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, from
the credentials file of the AWS tools, or from the machine's role.

`

// backupCommand makes, lists and verifies backups.
func (p *program) backupCommand(ctx context.Context, args []string) error {
	f := backupFlags{Backup: server.Backup{Console: p.console(), Client: http.DefaultClient}}
	f.Options.Version, f.Options.Now, f.Options.Random = version, time.Now, rand.Uint64
	if err := parseAlone(f.set(p.stdout), args); err != nil {
		return err
	}
	if f.offline {
		f.URL = ""
	}
	look := server.Backups{Repository: f.Repository, Console: f.Console}
	switch {
	case f.list:
		return look.List(ctx)
	case f.verify != "":
		return look.Verify(ctx, f.verify)
	}
	return f.Run(ctx)
}

// backupFlags are those of varve backup.
type backupFlags struct {
	server.Backup
	offline, list bool
	verify        string
}

func (b *backupFlags) set(out io.Writer) *pflag.FlagSet {
	set := newFlags("backup", backupHelp, out)
	repositoryFlags(set, &b.Repository, "to")
	set.StringVar(&b.Path, "storage.path", "./data", "data folder")
	set.StringVar(&b.URL, "url", "http://127.0.0.1:7480", "address of the server that uses the folder")
	set.BoolVar(&b.offline, "offline", false, "no server uses the folder")
	set.BoolVar(&b.list, "list", false, "list the backups instead of making one")
	set.StringVar(&b.verify, "verify", "", "read this backup, or latest, and compare its checksums, instead of making one")
	set.BoolVar(&b.JSON, "json", false, "report in JSON")
	set.BoolVar(&b.Options.Trust, "trust-upload", false, "do not read back what was uploaded")
	set.IntVar(&b.Options.Parallel, "parallel", 4, "files copied at a time")
	set.IntVar(&b.Keep.Last, "keep-last", 0, "afterwards remove backups but for so many of the newest")
	set.DurationVar(&b.Keep.Within, "keep-within", 0, "afterwards remove backups but for those taken within this time")
	return set
}

const restoreHelp = `Make a data folder from a backup. The folder must not hold a store; one that is
interrupted goes on when it is called again.

  varve restore --from=/mnt/backups
  varve restore --from=s3://bucket/varve --backup=20260301T120000Z-1a2b3c4d --storage.path=/var/lib/varve

`

// restoreCommand makes a data folder from a backup.
func (p *program) restoreCommand(ctx context.Context, args []string) error {
	r := server.Restore{Console: p.console(), Random: rand.Uint64}
	if err := parseAlone(restoreFlags(&r, p.stdout), args); err != nil {
		return err
	}
	return r.Run(ctx)
}

func restoreFlags(r *server.Restore, out io.Writer) *pflag.FlagSet {
	set := newFlags("restore", restoreHelp, out)
	repositoryFlags(set, &r.Repository, "from")
	set.StringVar(&r.Name, "backup", "latest", "which backup")
	set.StringVar(&r.Path, "storage.path", "./data", "data folder to make")
	set.BoolVar(&r.JSON, "json", false, "report in JSON")
	return set
}

func (p *program) console() server.Console {
	c := server.Console{Out: p.stdout, Progress: io.Discard}
	if screen := terminal.SizeOf(os.Stderr, os.Getenv); screen.Terminal {
		c.Progress = p.stderr
	}
	return c
}

func repositoryFlags(set *pflag.FlagSet, r *server.Repository, name string) {
	set.StringVar(&r.Where, name, "", "where backups are: a folder, or s3://bucket/path")
	set.StringVar(&r.Bucket.Endpoint, "s3.endpoint", "", "host and port of a server that speaks S3 (default Amazon's)")
	set.StringVar(&r.Bucket.Region, "s3.region", "", "region of the bucket")
	set.BoolVar(&r.Bucket.Insecure, "s3.insecure", false, "plain HTTP")
	set.BoolVar(&r.Bucket.PathStyle, "s3.path-style", false, "the bucket is in the path, not the host name")
}

// newFlags begins the flags of a command; its help shows examples, then the flags.
func newFlags(name, help string, out io.Writer) *pflag.FlagSet {
	set := pflag.NewFlagSet(name, pflag.ContinueOnError)
	set.SetOutput(out)
	set.Usage = func() { fmt.Fprint(out, help+set.FlagUsages()) }
	return set
}

// parseAlone parses the flags of a command that takes nothing else.
func parseAlone(set *pflag.FlagSet, args []string) error {
	if err := set.Parse(args); err != nil {
		return usage(err)
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, set.Arg(0))
	}
	return nil
}
