# "make" lists what there is. A recipe is one bash script that stops at the
# first error, also inside a pipe.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL: # two suites at once would measure each other
.DEFAULT_GOAL := help

BIN := $(CURDIR)/.cache/bin
LOG := $(CURDIR)/.cache/log
# A package that takes longer than the timeout hangs.
GOTEST := go test -race -shuffle=on -timeout=10m
FUZZTIME ?= 5s
# What each request passes.
HOTPATHS := ./internal/route ./internal/access ./internal/authn ./internal/token ./internal/lockout ./internal/metrics ./internal/app
TIME ?= 20m
TIMEOUT ?= 4h

# Programs of others, each pinned in a module of its own under tools/, because
# they do not agree on their dependencies: the clients of the tests, another
# registry to compare with, and a provider of OpenID Connect.
CLIENTS := crane oras regctl helm
PEERS := distribution oidcprovider
# Pinned together in tools/go.mod.
LINTERS := golangci-lint govulncheck staticcheck
# Every Go module of this repository.
MODULES := . conformance tools $(CLIENTS:%=tools/%) $(PEERS:%=tools/%)

.PHONY: help
help: ## Show this list
	@echo "usage: make TARGET"
	sed -n 's/^\([a-z0-9-]*\):.* ## \(.*\)/  \1\t\2/p' Makefile | expand -t 16

.PHONY: build
build: go ## Build bin/moorgate: one static file
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o bin/moorgate ./cmd/moorgate

.PHONY: test
test: packages clients peers program ## Install what the tests need, run all of them, print a summary
	@mkdir -p $(LOG)
	rm -f $(LOG)/*.log
	start=$$SECONDS code=0
	$(MAKE) --no-print-directory --keep-going unit e2e conformance fuzz benchmarks || code=$$?
	cd $(LOG)
	echo
	echo "== summary"
	cat *.log | grep -E '^(FAIL\s|--- FAIL|panic:|\s+--- FAIL|WARNING: DATA RACE)' || true
	sed -n 's/.*conformance_test.go:[0-9]*: \(.* passed, .*\)/conformance: \1/p' conformance.log || echo "conformance: did not run"
	echo "packages ok: $$(cat unit.log e2e.log conformance.log 2>/dev/null | grep -c '^ok' || true)"
	grep -h '^fuzz:.* targets' fuzz.log || echo "fuzz: did not run"
	echo "took $$((SECONDS - start)) s"
	if [[ $$code -ne 0 ]]; then echo "test: FAILED"; exit 1; fi
	echo "test: passed"

.PHONY: unit
unit: clients program $(BIN)/oidcprovider ## Run the tests beside the code, with the race detector
	@mkdir -p $(LOG)
	packages=$$(go list ./... | grep -v '/moorgate/e2e')
	code=0
	$(GOTEST) $$(grep -v '/moorgate/torture/' <<< "$$packages") 2>&1 | tee $(LOG)/unit.log || code=$$?
	# Those that load the machine come after the others, and one at a time.
	$(GOTEST) -p=1 $$(grep '/moorgate/torture/' <<< "$$packages") 2>&1 | tee -a $(LOG)/unit.log || code=$$?
	exit $$code

.PHONY: e2e
e2e: clients peers program ## Run the tests with real clients: docker, podman, helm ...
	@mkdir -p $(LOG)
	# Dozens of clients, one after the other: more than one package of tests.
	$(GOTEST) -timeout=20m ./e2e/... 2>&1 | tee $(LOG)/e2e.log

.PHONY: conformance
conformance: program ## Run the OCI conformance suite at its strictest
	@mkdir -p $(LOG)
	cd conformance
	# -v shows the count of each run; the rest of what it adds is of no use.
	$(GOTEST) -v ./... 2>&1 | grep -vE '^(===| *--- PASS: TestVerdict)' | tee $(LOG)/conformance.log

.PHONY: fuzz
fuzz: go ## Run every fuzz target for FUZZTIME (5s) each
	@mkdir -p $(LOG)
	scripts/fuzz.sh $(FUZZTIME) 2>&1 | tee $(LOG)/fuzz.log

.PHONY: torture
torture: packages clients program ## Load the server and kill it, for TIME (20m) each test
	MOORGATE_TORTURE=$(TIME) go test -v -count=1 -p=1 -timeout=$(TIMEOUT) ./torture/...

.PHONY: bench
bench: peers program go ## Measure moorgate beside other registries: bench/RESULTS.md
	@scripts/packages.sh nginx wrk strace
	go build -o $(BIN)/bench ./bench
	$(BIN)/bench -bin $(BIN) $(BENCHFLAGS)

.PHONY: benchmarks
benchmarks: program ## Run each benchmark of the hot paths once: do they still work?
	@mkdir -p $(LOG)
	# Built as the program is, so that little is built twice; lint runs vet.
	CGO_ENABLED=0 go test -trimpath -vet=off -run='^$$' -bench=. -benchtime=1x -timeout=10m $(HOTPATHS) 2>&1 | tee $(LOG)/benchmarks.log

.PHONY: lint
lint: $(LINTERS:%=$(BIN)/%) ## Check format, code, modules and known vulnerabilities
	@PATH=$(BIN):$$PATH
	failed=()
	check() {
		echo "== $$*"
		"$$@" || failed+=("$$PWD: $$*")
	}
	for module in . conformance tools/oidcprovider; do
		cd $(CURDIR)/$$module
		check go vet ./...
		check staticcheck ./...
		check golangci-lint run --config $(CURDIR)/.golangci.yml ./...
	done
	cd $(CURDIR)
	check golangci-lint config verify
	check bash -n .ci/run scripts/*.sh
	for module in $(MODULES); do
		check go -C $$module mod tidy -diff
		check go -C $$module mod verify
	done
	check scripts/vulncheck.sh $(BIN)/govulncheck
	if [[ $${#failed[@]} -ne 0 ]]; then
		printf 'lint: FAILED: %s\n' "$${failed[@]}"
		exit 1
	fi
	echo "lint: passed"

.PHONY: fmt
fmt: $(BIN)/golangci-lint ## Format the code
	@$(BIN)/golangci-lint fmt
	cd conformance
	$(BIN)/golangci-lint fmt --config $(CURDIR)/.golangci.yml

.PHONY: tidy
tidy: go ## Tidy the go.mod files of all modules
	@for module in $(MODULES); do go -C $$module mod tidy; done

.PHONY: tools
tools: clients peers $(LINTERS:%=$(BIN)/%) ## Build all pinned tools into .cache/bin

.PHONY: packages
packages: ## Install the Debian packages that the tests need
	@scripts/packages.sh

.PHONY: clean
clean: ## Remove all that was built; caches of the go command stay
	rm -rf bin .cache conformance/results

# The rest is for the targets above.

.PHONY: clients peers
clients: $(CLIENTS:%=$(BIN)/%)
peers: $(PEERS:%=$(BIN)/%)

# The program under test, where internal/testserver looks for it. Built here
# once, so that test processes that start together do not all build it.
.PHONY: program
program: go
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $(BIN)/moorgate ./cmd/moorgate

# A tool is built again when its pins change. "tool" is the go command's name
# for all packages in a module's tool directives; these modules have one each.
$(CLIENTS:%=$(BIN)/%) $(PEERS:%=$(BIN)/%): $(BIN)/%: tools/%/go.mod tools/%/go.sum | go
	@echo "building $*"
	CGO_ENABLED=0 go build -C tools/$* -o $@ tool
	touch $@

# Of this one the source is here.
$(BIN)/oidcprovider: $(wildcard tools/oidcprovider/*.go)

$(LINTERS:%=$(BIN)/%) &: tools/go.mod tools/go.sum | go
	@echo "building $(LINTERS)"
	CGO_ENABLED=0 go build -C tools -o $(BIN)/ tool
	touch $(LINTERS:%=$(BIN)/%)

# An old go command fails on our go.mod with sentences that do not say so.
.PHONY: go
go:
	@want=$$(sed -n 's/^go //p' go.mod)
	if ! have=$$(go env GOVERSION 2>&1); then
		echo "Moorgate needs Go $$want or newer (https://go.dev/doc/install). The go command says: $$have" >&2
		exit 1
	fi
