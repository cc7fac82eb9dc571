.DEFAULT_GOAL := help
.PHONY: help build run deps test e2e bench cover fuzz lint ci manifests release soak

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# disable_grpc_modules leaves out a quarter of the binary, which only Google's object storage would use
build: ## the binary, as released
	CGO_ENABLED=0 go build -trimpath -tags disable_grpc_modules -ldflags "-s -w" -o siaran ./cmd/siaran

ARGS ?=
run: ## a server on http://localhost:8080 (ARGS="--data DIR" or other flags of "siaran serve")
	go run ./cmd/siaran serve $(ARGS)

deps: ## install what the tests need: Debian packages, and npm packages
	./.ci/deps

test: ## all tests, with the race detector (runs deps first)
	./.ci/test

e2e: ## whole servers: browsers, networks, Firestore (PKG=./e2e/media for one package)
	./.ci/test $(or $(PKG),./e2e/...)

BENCH ?= .
bench: ## benchmarks (PKG=./egress BENCH=Name for some)
	go test -run '^$$' -bench '$(BENCH)' -benchmem $(or $(PKG),./...)

cover: ## how much of each package its tests run; cover.html shows the lines
	go test -vet=off -coverprofile cover.out $(or $(PKG),./...)
	go tool cover -html cover.out -o cover.html
	go tool cover -func cover.out | tail -n 1

SOAK ?= 30m
soak: ## viewers come and go for SOAK, 30m by default, and nothing may grow
	SIARAN_SOAK=$(SOAK) go test -vet=off -count=1 -timeout 4h -v ./e2e/soak

FUZZTIME ?= 5s
fuzz: ## every fuzz test for FUZZTIME each, 5s by default
	./.ci/fuzz $(FUZZTIME)

lint: ## gofmt, vet, staticcheck, errcheck, known vulnerabilities
	./.ci/lint

ci: ## all that must pass before a change goes in
	./.ci/run

release: ## archives, Debian packages, SBOMs and checksums for all systems, in dist/ (VERSION, TARGETS: see .ci/release)
	./.ci/release

manifests: ## read deploy/kubernetes as strictly as Kubernetes does
	go -C .ci/tools run ./manifests $(addprefix $(CURDIR)/,$(wildcard deploy/kubernetes/*.yaml))
