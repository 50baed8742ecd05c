package server

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/common/model"

	"github.com/varve-db/varve/query/api"
)

// runtimeInfo says how the process is doing.
func (n *Node) runtimeInfo() (api.RuntimeInfo, error) {
	directory, err := os.Getwd()
	if err != nil {
		return api.RuntimeInfo{}, fmt.Errorf("find the working directory: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return api.RuntimeInfo{}, fmt.Errorf("find the host's name: %w", err)
	}
	loaded := n.loaded.Load()
	return api.RuntimeInfo{
		StartTime: n.started.UTC(), ServerTime: n.options.Now().UTC(), LastConfigTime: loaded.at.UTC(),
		WorkingDirectory: directory, Hostname: host, ReloadConfigSuccess: loaded.ok,
		GoroutineCount: runtime.NumGoroutine(), MaxProcs: runtime.GOMAXPROCS(0), MemoryLimit: debug.SetMemoryLimit(-1),
		GOGC: os.Getenv("GOGC"), GODEBUG: os.Getenv("GODEBUG"), StorageRetention: retentionText(n.Config().Retention),
	}, nil
}

// retentionText says both bounds as Prometheus does.
func retentionText(c RetentionConfig) string {
	switch {
	case c.Time > 0 && c.Size > 0:
		return model.Duration(c.Time).String() + " or " + formatSize(c.Size)
	case c.Size > 0:
		return formatSize(c.Size)
	case c.Time > 0:
		return model.Duration(c.Time).String()
	}
	return ""
}

// instance is the label by which the node's own series are told apart: the
// address as it was configured, with the port that was found.
func instance(configured, bound string) string {
	host, port, err := net.SplitHostPort(configured)
	if err != nil {
		return bound
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	if _, boundPort, err := net.SplitHostPort(bound); err == nil && port == "0" {
		port = boundPort
	}
	return net.JoinHostPort(host, port)
}
