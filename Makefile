.PHONY: build test lint fuzz-short

build: ## the binary, as released; the tag leaves out a quarter of it, which only Google's storage would use
	CGO_ENABLED=0 go build -trimpath -tags disable_grpc_modules -ldflags "-s -w" -o siaran ./cmd/siaran

test: ## all tests; installs what they need on Debian
	./.ci/test

lint: ## what must be clean
	test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...
	go tool staticcheck ./...

FUZZTIME ?= 5s
fuzz-short: ## every fuzz test for a short time
	./.ci/fuzz $(FUZZTIME)
