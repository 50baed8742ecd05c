package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/varve-db/varve/server"
)

// version and buildDate are set by the release's linker flags.
var (
	version   = "development"
	buildDate = ""
)

func build() server.Build {
	b := server.Build{Version: version, BuildDate: buildDate, GoVersion: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				b.Revision = s.Value
			case s.Key == "vcs.time" && b.BuildDate == "":
				b.BuildDate = s.Value
			}
		}
	}
	return b
}

const versionHelp = `Say which program this is.

  varve version

`

func (p *program) version(_ context.Context, args []string) error {
	if err := parseAlone(newFlags("version", versionHelp, p.stdout), args); err != nil {
		return err
	}
	b := build()
	_, err := fmt.Fprintf(p.stdout, "varve %s (revision %s, %s, %s/%s)\n", b.Version, orUnknown(b.Revision), b.GoVersion, runtime.GOOS, runtime.GOARCH)
	return err
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
