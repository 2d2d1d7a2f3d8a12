# make        lists the targets
# make test   is the one command that says whether this tree is good

SHELL       := /bin/bash -o pipefail
.DEFAULT_GOAL := help

GO        ?= go
FUZZTIME  ?= 5s
ROUNDS    ?= 500
BENCH     ?= all
# Whole-binary tests drive npm packages; they run apart, so that what they skip is seen.
PACKAGES   = $(shell $(GO) list ./... | grep -v /test/sdk)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## One static binary: bin/hark
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=auto -o bin/hark ./cmd/hark

.PHONY: demo
demo: ## Watch the worked example
	$(GO) run ./cmd/hark demo

.PHONY: postgres
postgres: # what the tests of the second store start a throwaway of
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; } || \
	  echo "SKIPPED, NOT TESTED: PostgreSQL, many nodes and moving between stores, because there is no PostgreSQL here (apt-get install postgresql)."

.PHONY: test
test: lint postgres ## Everything that decides: vet, staticcheck, all tests, crash rounds, real SDKs
	CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/hark
	HARK_TESTS=all $(GO) test $(PACKAGES)
	@for tool in node npm; do command -v $$tool >/dev/null || \
	  echo "SKIPPED, NOT TESTED: the JavaScript SDKs, because there is no $$tool here."; done
	HARK_TESTS=all $(GO) test -v ./test/sdk | grep -v '^=== '

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); \
	  test -z "$$unformatted" || { echo "not formatted (gofmt -w):"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: race
race: ## All tests with the race detector (needs cgo; slow)
	CGO_ENABLED=1 $(GO) test -race -short ./...

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (5s)
	@for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
	    echo "$$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
	  done; \
	done

.PHONY: crash
crash: ## kill -9 in a loop: ROUNDS (500)
	$(GO) test ./test/crash -v -rounds $(ROUNDS) -timeout 2h

.PHONY: cluster
cluster: ROUNDS = 200
cluster: postgres ## Faults on three nodes and their PostgreSQL: ROUNDS (200)
	$(GO) test ./test/cluster -v -rounds $(ROUNDS) -timeout 4h

.PHONY: laptop
laptop: ROUNDS = 100
laptop: ## Faults between a server and a laptop that listens: ROUNDS (100)
	$(GO) test ./test/laptop -v -rounds $(ROUNDS) -timeout 4h

.PHONY: bench
bench: ## Measure throughput, latency, fairness, history and backlog; BENCH=throughput for one
	$(GO) run ./bench $(BENCH)

.PHONY: golden
golden: ## Rewrite the golden files; review reads the diff
	$(GO) test $$(grep -rl --include='*_test.go' '"update"' . | xargs -n1 dirname | sort -u) -update

.PHONY: ci
ci: test ## What the CI runs
