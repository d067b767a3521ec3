# Relais. `make help` lists what can be made.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

UI       := transport/web/ui
TWILIO   := transport/twilio/peer
OIDCPEER := transport/oidc/peer
HL7PEER  := transport/hl7/peers
DIST     := transport/web/dist
PEER     := transport/fhir/testdata/peer
LINT     := 2.15.0
MAILPIT  := 1.27.11
CODEGEN  := 2.8.2
CLIENT   := transport/web/apiclient
FUZZTIME ?= 20s
ARGS     ?=

.PHONY: help run build test e2e race fuzz bench bench-dme bench-ui chaos crashtest winner screenshots policies lint check ui api tools mailpit clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build everything and start the demo on http://localhost:8080 (ARGS="--addr :9090")
	./bin/relais demo $(ARGS)

build: ui ## bin/relais, with the pages inside
	@.ci/need go
	CGO_ENABLED=0 go build -trimpath -o bin/relais ./cmd/relais

ui: $(DIST)/index.html ## the front desk's page and the demo's

$(DIST)/index.html: $(UI)/node_modules/.package-lock.json $(shell find $(UI) -path $(UI)/node_modules -prune -o -path $(UI)/e2e -prune -o -type f -print 2>/dev/null)
	cd $(UI) && npm run --silent build
	@touch $@ $(DIST)/.gitkeep

$(UI)/node_modules/.package-lock.json: $(UI)/package.json $(UI)/package-lock.json
	@.ci/need node
	cd $(UI) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(PEER)/node_modules/.package-lock.json: $(PEER)/package.json $(PEER)/package-lock.json
	@.ci/need node
	cd $(PEER) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# Twilio's own library, which signatures and TwiML are held against.
$(TWILIO)/node_modules/.package-lock.json: $(TWILIO)/package.json $(TWILIO)/package-lock.json
	@.ci/need node
	cd $(TWILIO) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# A certified OpenID provider, which single sign-on is tried against.
$(OIDCPEER)/node_modules/.package-lock.json: $(OIDCPEER)/package.json $(OIDCPEER)/package-lock.json
	@.ci/need node
	cd $(OIDCPEER) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(HL7PEER)/node_modules/.package-lock.json: $(HL7PEER)/package.json $(HL7PEER)/package-lock.json
	@.ci/need node
	cd $(HL7PEER) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

test: ## all tests that need no browser
	@.ci/need go
	@if .ci/need node; then $(MAKE) $(PEER)/node_modules/.package-lock.json $(TWILIO)/node_modules/.package-lock.json $(OIDCPEER)/node_modules/.package-lock.json; \
	elif [ -n "$${CI:-}" ]; then exit 1; \
	else echo "Skipped the tests against record systems and libraries from npm, for that reason."; fi
	@if .ci/need node 2>/dev/null; then $(MAKE) $(HL7PEER)/node_modules/.package-lock.json; fi
	go test ./...
	@if .ci/need node; then $(MAKE) $(UI)/node_modules/.package-lock.json && cd $(UI) && npm run --silent test; \
	elif [ -n "$${CI:-}" ]; then exit 1; \
	else echo "Skipped the tests of the pages, for that reason."; fi

e2e: build ## the story of one cancellation, in a real browser against bin/relais
	@.ci/need chromium
	cd $(UI) && npm run --silent e2e

race: ## all Go tests with the race detector (needs a C compiler)
	@.ci/need go
	CGO_ENABLED=1 go test -race ./...

fuzz: ## every fuzz test for FUZZTIME (20s)
	@.ci/need go
	@.ci/fuzz $(FUZZTIME)

bench: ui ## the figures of docs/figures.md, on this machine (6 minutes)
	@.ci/need go
	@.ci/need postgres
	@.ci/bench

chaos: ## 20,000 offers while carriers fail and the process is killed, and the same broken on purpose (19 minutes)
	@.ci/need go
	CHAOS=full go test ./cmd/internal/app -run 'TestChaos' -count=1 -timeout 40m -v
	@cat build/chaos.md

winner: ## 1,000 kills while people race for slots; what they were told must be linearizable (1 to 2 hours; KILLS=20 SEED=3)
	@.ci/need go
	KILLS=$${KILLS:-1000} go test ./cmd/internal/app -run 'TestOneWinner' -count=1 -timeout 3h -v

crashtest: ## power cut at every write and sync of the store, bytes flipped everywhere (hours; CRASH_SEED=n for one again)
	@.ci/need go
	CRASH=full go test ./storage/bolt -run 'PowerCut|WriteFails|Flipped|SyncFails|TestCrash' -count=1 -timeout 6h -v

bench-dme: ## 1,000 clinics in one process, and a schedule of 50,000 slots (15 minutes)
	@.ci/need go
	@mkdir -p build
	go test -run '^$$' -bench 'ManyClinics|Reconcile' -benchtime 1x -timeout 40m ./cmd/internal/app | tee build/bench-dme.txt

bench-ui: build ## what the front desk's page costs, and how soon a yes is seen (3 minutes)
	@.ci/need chromium
	cd $(UI) && npx --no-install playwright test --config playwright.scripts.config.ts --project measure

screenshots: build ## docs/pictures, taken anew from the demo
	@.ci/need chromium
	cd $(UI) && npx --no-install playwright test --config playwright.scripts.config.ts --project pictures

policies: ## docs/policies.svg and the tables of docs/policy.md in build/policy.txt, from the rules (some minutes)
	@.ci/need go
	@mkdir -p build
	go run ./cmd/relais simulate --compare --replications $(or $(REPLICATIONS),4000) --svg docs/policies.svg > build/policy.txt
	go run ./cmd/relais simulate --clinic standard --policy adaptive --policy waves-3-10 --policy one-by-one >> build/policy.txt
	@cat build/policy.txt

lint: tools $(UI)/node_modules/.package-lock.json ## style and mistakes, Go and TypeScript
	"$$(go env GOPATH)/bin/golangci-lint" run
	cd $(UI) && npm run --silent check && npm run --silent check:colours

check: lint test race e2e ## what every change must pass

api: ## docs/openapi.json, the page's types and the Go client, from the Go types
	@.ci/need go
	go run ./cmd/relais openapi > $(UI)/openapi.new && mv $(UI)/openapi.new docs/openapi.json
	cd $(UI) && npm run --silent types
	go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v$(CODEGEN) -config $(CLIENT)/generate.yaml docs/openapi.json
	sha256sum docs/openapi.json | cut -d' ' -f1 > $(CLIENT)/openapi.sha256

tools: ## golangci-lint, the pinned version
	@.ci/need go
	@"$$(go env GOPATH)/bin/golangci-lint" version 2>/dev/null | grep -q 'version v\?$(LINT) ' || \
		{ echo "Building golangci-lint $(LINT); this takes minutes, once."; \
		go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(LINT); }

mailpit: ## the mail server that tests of mail run against; without it they are skipped
	@.ci/need go
	@test -x "$$(go env GOPATH)/bin/mailpit" || go install github.com/axllent/mailpit@v$(MAILPIT)

clean: ## forget what was built; data stays
	rm -rf bin build $(UI)/node_modules $(PEER)/node_modules $(TWILIO)/node_modules $(OIDCPEER)/node_modules $(HL7PEER)/node_modules coverage.out
	find $(DIST) -mindepth 1 ! -name .gitkeep -delete
