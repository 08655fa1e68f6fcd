# Warren. `make run` starts a three-node cluster here, `make test` runs all tests.
GO      ?= go
BIN     := $(CURDIR)/bin
TOOLS   := $(BIN)/tools
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 10s
SCHEDULES ?= 200
CHECKS  ?= 100000

export CGO_ENABLED ?= 0
export PATH := $(TOOLS):$(PATH)

.PHONY: all build run test check lint generated race fuzz sim model compat compat-docs bench proof proto tools deps clean

all: build

build: ## bin/warren and bin/warrenctl, static
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/warren ./cmd/warrenctl

run: build ## a three-node cluster on this machine, data in ./data
	@exec $(BIN)/warren dev --nodes 3 --data ./data

test: deps ## everything that must pass, on a bare machine
	@./test/all

check: lint generated race fuzz ## format, vet, staticcheck, generated files, race detector, fuzz

lint: tools
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'not gofmt-ed'; exit 1; }
	$(GO) vet ./...
	staticcheck ./...

generated: deps proto compat-docs
	$(GO) generate ./broker/wire/...
	@git diff --exit-code --stat -- proto broker/wire docs/compatibility.md || { echo 'generated files differ from what is committed'; exit 1; }

race:
	CGO_ENABLED=1 $(GO) test -race ./...

fuzz: ## $(FUZZTIME) of each fuzz target
	@./test/fuzz $(FUZZTIME)

sim: ## more fault schedules: make sim SCHEDULES=5000
	$(GO) test ./test/sim -count=1 -timeout 60m -schedules=$(SCHEDULES)

model: ## random command sequences against the model of the queues: make model CHECKS=1000000
	$(GO) test ./broker/queue -count=1 -timeout 0 -run 'TestReplicasAgree' -rapid.checks=$(CHECKS)

compat: build deps
	$(GO) test ./test/compat/... -count=1

compat-docs: ## docs/compatibility.md, from the table of scenarios
	@$(GO) run ./test/compat/matrix docs/compatibility.md

bench: build ## Warren beside RabbitMQ in one run
	@./test/bench/run

proof: build ## make proof P=<name>; without P: the list
	@$(GO) run ./test/proof $(P)

proto: tools
	protoc -I proto --go_out=. --go_opt=module=github.com/warrenmq/warren \
		--go-grpc_out=. --go-grpc_opt=module=github.com/warrenmq/warren proto/*.proto

tools: $(TOOLS)/.made

$(TOOLS)/.made: tools/go.mod tools/go.sum
	@mkdir -p $(TOOLS)
	cd tools && GOBIN=$(TOOLS) $(GO) install tool
	@touch $@

deps: ## what the tests need of Debian
	@./test/deps

clean:
	rm -rf $(BIN) data
