# Every target runs on a machine with Python 3.10 or newer, make and the package index; the tools live in .tools/.
# ARGS reaches the command: make test ARGS="-k pop". PY picks another interpreter: make test PY=3.13.

.DEFAULT_GOAL := help
SHELL := /bin/sh

TOOLS := $(CURDIR)/.tools
BIN := $(TOOLS)/venv/bin
PY = $(shell cat $(TOOLS)/version)
ARGS =

export HATCH_CONFIG := $(TOOLS)/hatch.toml
export HATCH_DATA_DIR := $(TOOLS)/hatch
export HATCH_ENV_TYPE_VIRTUAL_UV_PATH := $(BIN)/uv
# Real interpreters come first on PATH: Hatch meets a version manager's launcher otherwise, and downloads a Python.
TOOLED = PATH="$(BIN):$$(cat $(TOOLS)/path):$$PATH"
HATCH = $(TOOLED) hatch -q

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(TOOLS)/ready  ## Two processes, one conversation: the second remembers Alice
	@$(HATCH) run demo:python -m openstackai_sessions_agents.demo $(ARGS)

test: $(TOOLS)/ready  ## Run the tests on one interpreter
	@$(HATCH) test --parallel -py $(PY) $(ARGS)

test-all: $(TOOLS)/ready  ## Run the tests on every interpreter found among 3.10-3.14
	@$(TOOLED) $(BIN)/python tools/everywhere.py $(ARGS)

test-lowest: $(TOOLS)/ready  ## Run the tests with the oldest versions that the packages allow
	@$(HATCH) run lowest:run $(ARGS)

integration: $(TOOLS)/ready  ## Run the tests that install wheels, start servers or break things
	@$(HATCH) run integration:run $(ARGS)

integration-servers: $(TOOLS)/ready  ## Run the tests on a real Valkey or Redis and a real PostgreSQL server
	@$(HATCH) run servers:run $(ARGS)

integration-full: $(TOOLS)/ready integration  ## Both, on every version of the servers that is found
	@INTEGRATION_FULL=1 $(HATCH) run servers:run $(ARGS)

check: $(TOOLS)/ready  ## Check style, types, generated twins, typed usage and what the wheels hold
	@$(HATCH) run check:all $(ARGS)

twins: $(TOOLS)/ready  ## Write the synchronous twins of the asynchronous modules
	@$(HATCH) run check:python tools/twins.py

fmt: $(TOOLS)/ready  ## Format the code and fix what can be fixed
	@$(HATCH) run check:fmt

conformance-quick: $(TOOLS)/ready  ## Run the conformance suite, quick tier, on every backend, sync and async
	@$(HATCH) run servers:conformance $(ARGS)

conformance: $(TOOLS)/ready  ## The same, full tier
	@OPENSTACKAI_CONFORMANCE_TIER=full $(HATCH) run servers:conformance $(ARGS)

mutants: $(TOOLS)/ready  ## Measure the conformance suite on its mutants, and write docs/conformance-matrix.md
	@PYTHONPATH=packages/openstackai-sessions-conformance/tests $(HATCH) run hatch-test.py$(PY):python -m mutants.matrix --seeds 10 $(ARGS)

bench: $(TOOLS)/ready  ## Run the benchmarks
	@$(HATCH) run bench:run $(ARGS)

reliability: $(TOOLS)/ready  ## Break things at random, thousands of times, and count what is lost (ARGS=--quick: 5 minutes)
	@$(HATCH) run servers:reliability $(ARGS)

docs: $(TOOLS)/ready  ## Build the documentation into docs/_build/
	@$(HATCH) run docs:build

build: $(TOOLS)/ready  ## Build the wheel and the sdist of every package into dist/
	@$(TOOLED) $(BIN)/python tools/build_all.py

clean:  ## Remove what these targets made, the tools too
	@rm -rf .tools dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find packages tests tests-integration tools -name __pycache__ -prune -exec rm -rf {} +

$(TOOLS)/ready: tools/bootstrap
	@echo "Preparing the tools in .tools/ (once) ..."
	@tools/bootstrap $(TOOLS)

.PHONY: help demo test test-all test-lowest integration integration-servers integration-full check twins fmt bench reliability docs build clean conformance conformance-quick mutants
