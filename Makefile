# Berth's entry points. Each does what it needs first: on a fresh machine `make test` is enough.
# Lines that begin with ## are what `make help` shows.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# npm runs on the machine's own node: it may be about to replace ours.
MACHINE_PATH := $(PATH)
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help setup generate build native check lint test demo bench conformance vm test-vm clean

## help         this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## setup        install the Debian and npm packages that build and tests need (as root; does nothing when all are there)
setup:
	@PATH='$(MACHINE_PATH)' tools/setup.sh

## generate     types and contract from the files below proto/
GENERATED := src/cri-server/generated/contract.json
generate: setup $(GENERATED)
$(GENERATED): proto/cri/v1/api.proto proto/berth/v1/images.proto tools/generate.ts tools/read-proto.ts package-lock.json | setup
	@node tools/generate.ts

## build        berthd, berth and the native programs, in dist/
build: setup generate native
	@node tools/bundle.ts

native: setup
	@$(MAKE) --no-print-directory -C native

## check        types, lint, layering and unit tests: under a minute, run it before each commit
check: setup generate
	@tsc -p tsconfig.json
	@oxlint --deny-warnings
	@node tools/check-layers.ts
	@vitest run --project unit

## test         everything: build, native tests, unit tests, scenarios against the built berthd (as root)
test: build
	@node tools/run-tests.ts

## demo         pull an image, run a pod of two containers, use it, remove it: through the CRI socket (as root)
demo: build
	@BERTHD=$(CURDIR)/dist/berthd node conformance/demo.ts

## bench        time every CRI call; PEER=/path/to/containerd measures that beside it in the same run (as root)
bench: build
	@BERTHD=$(CURDIR)/dist/berthd node bench/run.ts $(if $(PEER),--peer '$(PEER)') $(BENCH_FLAGS)

## conformance  run CRITEST=/path/to/critest against a berthd of its own; FOCUS=regexp for some specs, IMAGES=registry's storage (as root)
conformance: build
	@BERTHD=$(CURDIR)/dist/berthd node conformance/critest.ts --critest '$(or $(CRITEST),critest)' $(if $(FOCUS),--focus '$(FOCUS)') $(if $(SKIP),--skip '$(SKIP)') $(if $(IMAGES),--registry-storage '$(IMAGES)')

## vm           run CMD="…" as root in a virtual machine with cgroup v2 and AppArmor (docs/testing.md: INIT, DISK, …)
vm: override export VM_COMMAND := $(value CMD)
vm: setup
	@node tools/vm/main.ts

## test-vm      the tests that need that kernel: limits, OOM, AppArmor, systemd (INIT and FOCUS choose some)
test-vm: build
	@node tools/vm/test.ts

## clean        remove what was built, keep what was installed and the virtual machine's kernel (build/vm)
clean:
	rm -rf dist src/cri-server/generated
	if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name vm -exec rm -rf {} +; fi
