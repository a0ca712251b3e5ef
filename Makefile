# `make help` lists what can be made.

GO ?= go
FUZZTIME ?= 10s
GOLANGCI_LINT_VERSION = v2.15.0
GOLANGCI_LINT = bin/golangci-lint-$(GOLANGCI_LINT_VERSION)

.DEFAULT_GOAL := help

## dev: run everything at once: Redis, API, worker, simulated providers
.PHONY: dev
dev:
	$(GO) run ./cmd/sluice dev

## build: the three programs, into bin/
.PHONY: build
build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...

## test: every test, with the race detector; installs redis-server if it is missing
.PHONY: test
test:
	scripts/need redis-server cc
	CGO_ENABLED=1 $(GO) test -race -timeout 15m ./...

## test-fast: every test, without the race detector
.PHONY: test-fast
test-fast:
	scripts/need redis-server
	$(GO) test -timeout 10m ./...

## fuzz: every fuzz target for FUZZTIME (10s) each
.PHONY: fuzz
fuzz:
	scripts/fuzz $(FUZZTIME)

## bench: docs/benchmarks.md; or only CASE=accept,dispatch RUNS=1 SCALE=0.1 REPEATS=0
.PHONY: bench
bench:
	scripts/need redis-server
	$(GO) build -trimpath -o bin/bench/ ./bench
	bin/bench/bench $(if $(CASE),-case $(CASE)) $(if $(RUNS),-runs $(RUNS)) $(if $(SCALE),-scale $(SCALE)) $(if $(REPEATS),-repeats $(REPEATS))

## bench-go: benchmarks of packages
.PHONY: bench-go
bench-go:
	scripts/need redis-server
	$(GO) test -run '^$$' -bench . -benchmem ./...

## lint: format, import rules and all else that golangci-lint knows
.PHONY: lint
lint: $(GOLANGCI_LINT)
	$(GOLANGCI_LINT) run --allow-parallel-runners ./...
	$(GO) mod tidy -diff

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv bin/golangci-lint $@

## fmt: format the code
.PHONY: fmt
fmt: $(GOLANGCI_LINT)
	$(GOLANGCI_LINT) fmt ./...

## clean: remove what was built and what `make dev` kept
.PHONY: clean
clean:
	rm -rf bin .sluice

## help: this list
.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST) | awk '{ i = index($$0, ": "); printf "  %-10s %s\n", substr($$0, 1, i - 1), substr($$0, i + 2) }'
