# Everything here works with only Go installed.
#
#   make run       start Varve on ./data
#   make build     bin/varve, static
#   make check     formatting, vet, house style, modules
#   make test      every test, with the race detector if there is a C compiler
#   make e2e       the built binary against real senders, one minute
#   make clients   the client libraries of the protocols against the built binary
#   make soak      long: end to end with kills, power losses, fuzzing
#   make fuzz      every fuzz target for FUZZTIME
#   make fuzz-columns  ten million fuzzed columns, encoded and decoded
#   make fuzz-promql  the columnar executor against Prometheus's engine, for PROMQLTIME
#   make bench     Go benchmarks
#   make bench-peers  the same load on Varve, VictoriaMetrics and Prometheus
#   make bench-queries  the same questions on all three
#   make web       web/dist from web/ui; needs Node.js
#   make web-browser  the application in Chromium, against the built binary

SHELL := /bin/sh

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
DATE    := $(shell git log -1 --format=%cI 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.buildDate=$(DATE)
BINARY  := bin/varve

# The race detector needs a C compiler; nothing else does. Checks and tests are
# built with one set of flags, so that they share the build cache; the binary is
# static.
RACE := $(shell command -v $${CC:-cc} >/dev/null 2>&1 && echo -race)
TEST := CGO_ENABLED=$(if $(RACE),1,0)
STATIC := CGO_ENABLED=0 GOFLAGS="$(shell go env GOFLAGS) -trimpath"

FUZZTIME ?= 20s
ROUNDS   ?= 20
SOAKTIME ?= 30m
FUZZRUNS ?= 3400000x
PROMQLTIME ?= 14400
PACKAGES ?= ./...
# Packages whose long tests of one goroutine skip the race detector: they run a
# second time without it.
SEQUENTIAL ?= ./tsdb
BENCH    ?= .
PEERS    ?= bin/peers

CAPTURES  := $(CURDIR)/testdata/captures
QUERYFLAGS ?=
PEERFLAGS ?= --captures $(CAPTURES)/node_1s.tsd.zst,$(CAPTURES)/goapp_1s.tsd.zst

.PHONY: run build check test e2e clients soak fuzz fuzz-columns fuzz-promql bench bench-peers bench-queries web web-browser clean

run:
	$(STATIC) go run -ldflags '$(LDFLAGS)' ./cmd/varve serve

build:
	$(STATIC) go build -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/varve

check:
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	# chunkenc.Iterator's Seek is not io.Seeker's, as stdmethods believes.
	$(TEST) go vet $(RACE) -stdmethods=false ./...
	$(TEST) go vet $(RACE) -tags e2e ./e2e/...
	$(TEST) go run $(RACE) ./internal/repolint
	go mod verify
	go mod tidy -diff

test:
	$(TEST) go test $(RACE) -timeout 12m $(PACKAGES)
	$(if $(and $(RACE),$(filter ./...,$(PACKAGES))),$(TEST) go test -timeout 8m $(SEQUENTIAL))

e2e: build
	VARVE_BINARY=$(CURDIR)/$(BINARY) $(TEST) go test $(RACE) -tags e2e -count=1 -timeout 10m ./e2e/...

# A module of its own: the product does not depend on its clients.
clients: build
	cd e2e/clients && VARVE_BINARY=$(CURDIR)/$(BINARY) $(STATIC) go test -count=1 ./...

soak: build
	VARVE_BINARY=$(CURDIR)/$(BINARY) VARVE_SOAK=$(SOAKTIME) $(STATIC) go test -tags e2e -count=1 -timeout 24h -v ./e2e/...
	VARVE_POWERLOSS_ROUNDS=1000 VARVE_KILL_ROUNDS=50 VARVE_FLIPS=200 VARVE_SOAK_SECONDS=1800 \
		$(TEST) go test -timeout 24h -count=1 ./tsdb/...
	$(TEST) go test -run 'Crash|Torn|Random' -count=$(ROUNDS) -timeout 24h ./kv/...
	GOAMD64=v3 go test -run Golden -count=1 ./chunks/...
	@if command -v qemu-aarch64 >/dev/null; then \
		echo CGO_ENABLED=0 GOARCH=arm64 go test -exec qemu-aarch64 -run Golden ./chunks/...; \
		CGO_ENABLED=0 GOARCH=arm64 go test -exec qemu-aarch64 -run Golden -count=1 ./chunks/...; \
	else echo "without qemu-aarch64 the golden files are not read as arm64"; fi
	$(MAKE) fuzz FUZZTIME=5m
	$(MAKE) fuzz-columns

# go test fuzzes one target of one package at a time.
fuzz:
	@set -e; grep -rHoE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z0-9_]+' . \
	| sed 's|/[^/]*:func |/ |' | sort -u \
	| while read -r package target; do \
		echo "== $$target in $$package"; \
		$(STATIC) go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
	done

# Each input is encoded at three levels, so FUZZRUNS counts a third of the columns.
fuzz-columns:
	$(STATIC) go test -run '^$$' -fuzz '^FuzzValuesRoundTrip$$' -fuzztime $(FUZZRUNS) -timeout 24h ./chunks/column

# PROMQLTIME is in seconds. What differs is printed, made small, with its seed.
fuzz-promql:
	VARVE_PROMQL_SECONDS=$(PROMQLTIME) $(STATIC) go test -run '^TestDifferential$$' -count=1 -timeout 0 -v ./query

bench:
	VARVE_DATA=$(CAPTURES) go test -run '^$$' -bench '$(BENCH)' -benchmem $(PACKAGES)

# The peers are a module of their own: the product never depends on them.
bench-peers: build
	cd bench/peers && $(STATIC) go run . --varve $(CURDIR)/$(BINARY) --binaries $(abspath $(PEERS)) $(PEERFLAGS)

bench-queries: build
	cd bench/peers && $(STATIC) go run . --what queries --varve $(CURDIR)/$(BINARY) --binaries $(abspath $(PEERS)) --json $(CURDIR)/bin/queries.json $(QUERYFLAGS)

# Everything else takes web/dist as it is; a test says when it is out of date.
web:
	cd web/ui && npm ci --no-audit --no-fund && npm test && npm run build
	go test -count=1 -run Dist ./web -args -stamp

web-browser: build
	cd web/ui && npm ci --no-audit --no-fund && sh test/browser.sh $(CURDIR)/$(BINARY)

clean:
	rm -rf bin
