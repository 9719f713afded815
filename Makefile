# This file installs everything that the project needs, from the pinned requirements in requirements/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SHELLFLAGS := -eu -o pipefail -c

PACK ?= automotive
DATA ?=
PORT ?= 4566
FOLDER ?= build/stack/up
AREA ?= lake
WHAT ?=
ONLY ?=
ARGS ?= --help
RUNS ?= 10
SEED ?= 1
UV_VERSION := 0.13.8
export PATH := $(CURDIR)/.tools/bin:$(PATH)
export UV_LINK_MODE ?= copy
export SAM_CLI_TELEMETRY := 0
# Python writes bytecode here even where the shell forbids it, so that each module is compiled once, not by each command
unexport PYTHONDONTWRITEBYTECODE

TOOLS := .tools/stamp
DEV := .venv/stamp
STACK := .venv-stack/stamp
BUILT := .aws-sam/stamp
SOURCES := template.yaml samconfig.toml $(shell find functions layers shared/src/propensity -type f -not -path '*/__pycache__/*')

.PHONY: help setup build check up watch why bridge down cli demo retail-data pictures test test-fast spark bench bench-peers soak mutations lint types imports pytest lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(DEV) $(STACK) ## install uv where it is missing, and both environments

$(TOOLS):
	@mkdir -p .tools/bin
	@if command -v uv >/dev/null; then ln -sf "$$(command -v uv)" .tools/bin/uv; \
	else python3 -m venv .tools/uv && .tools/uv/bin/python -m pip install -q uv==$(UV_VERSION) && ln -sf ../uv/bin/uv .tools/bin/uv; fi
	@touch $@

$(DEV): requirements/dev.txt $(TOOLS)
	@echo "setup: .venv"
	@uv venv -q --clear --python 3.13 .venv
	@uv pip sync -q --require-hashes --python .venv/bin/python requirements/dev.txt
	@touch $@

$(STACK): requirements/stack.txt $(TOOLS)
	@echo "setup: .venv-stack"
	@uv venv -q --clear --python 3.13 .venv-stack
	@uv pip sync -q --require-hashes --python .venv-stack/bin/python requirements/stack.txt
	@touch $@

build: $(BUILT) ## sam build

$(BUILT): $(SOURCES) $(DEV) $(STACK)
	@mkdir -p build
	@PYTHONPATH=shared/src .venv/bin/python -m tests.stack.check_pack > build/check.log || { cat build/check.log; exit 1; }
	@echo "build: sam build"
	@find functions shared -name __pycache__ -type d -prune -exec rm -rf {} +
	@PATH="$(CURDIR)/.venv-stack/bin:$$PATH" .venv-stack/bin/sam build --cached --parallel --template-file template.yaml > build/sam-build.log 2>&1 \
	  || { tail -40 build/sam-build.log; exit 1; }
	@touch $@

check: $(DEV) ## tell the mistakes of a pack's files (PACK=… a name or a folder), by file and line
	@PYTHONPATH=shared/src .venv/bin/python -m tests.stack.check_pack $(PACK)

up: $(BUILT) ## keep the local stack running (PACK=…, PORT=…) and print its address
	@.venv/bin/python -m tests.stack.up --folder '$(FOLDER)' --pack $(PACK) --port $(PORT)

watch: $(DEV) ## follow from now on what the functions and workflows of the local stack do
	@.venv/bin/python -m tests.stack.watch --folder '$(FOLDER)'

why: $(DEV) ## say why a model, run, execution or landed file is as it is (WHAT=…)
	@.venv/bin/python -m tests.stack.why --folder '$(FOLDER)' --what '$(WHAT)'

bridge: $(DEV) ## let the containers of sam local reach the running stack
	@.venv/bin/python -m tests.stack.bridge --folder '$(FOLDER)'

down: $(DEV) ## end the local stack
	@.venv/bin/python -m tests.stack.down --folder '$(FOLDER)'

cli: $(DEV) ## run the command propensity (ARGS="models --local")
	@PYTHONPATH=shared/src .venv/bin/python -m propensity_cli $(ARGS)

demo: $(BUILT) ## run the whole loop (PACK=automotive, or PACK=retail or leads with DATA=<folder>; KEEP=1: leave the stack up)
	@.venv/bin/python -m tests.stack.demo --pack $(PACK) $(if $(DATA),--data '$(DATA)') $(if $(KEEP),--keep '$(FOLDER)')

retail-data: $(DEV) ## make the retail demo's two files from the workbooks of UCI (FOLDER=<folder with both>)
	@.venv/bin/python -m tests.stack.retail_data --folder '$(FOLDER)'

pictures: $(DEV) ## draw the README's pictures again from what the demo left in build/demo/automotive
	@PYTHONPATH=shared/src .venv/bin/python -m tests.stack.pictures

test: $(BUILT) ## lint, types, imports and every test
	@$(MAKE) --no-print-directory lint imports
	@$(MAKE) --no-print-directory --jobs=2 types pytest

pytest: $(DEV)
	@.venv/bin/python -m pytest

test-fast: $(DEV) ## unit and contract tests only, which need no built stack: within a minute
	@.venv/bin/python -m pytest tests/unit tests/contract

spark: $(DEV) ## score on local Spark, which uv fetches, and hold each row against the batch (Java 17)
	@.venv/bin/python -m pytest -n 0 tests/spark

bench: $(DEV) ## measure the claims of an AREA beside a floor, into build/bench
	@PYTHONPATH=shared/src .venv/bin/python -m tests.bench --area $(AREA) $(if $(PART),--part $(PART))

bench-peers: $(DEV) ## measure the same beside other people's tools, which uv fetches
	@PYTHONPATH=shared/src .venv/bin/python -m tests.bench --area $(AREA) --peers

ifeq ($(AREA),stack)
soak: $(BUILT)
	@PYTHONPATH=shared/src .venv/bin/python -m tests.stack.kills --runs $(RUNS) --seed $(SEED)
	@PYTHONPATH=shared/src .venv/bin/python -m tests.stack.cut_off --runs $(RUNS) --seed $(SEED)
else ifeq ($(AREA),map)
soak: $(BUILT)
	@PYTHONPATH=shared/src .venv/bin/python -m tests.stack.wide_map --seed $(SEED)
else
soak: $(DEV) ## the laws of the lake, 5,000 examples; AREA=stack: on the deployed stack, workers killed; AREA=map: 1,200 work items
	@SOAK_EXAMPLES=5000 .venv/bin/python -m pytest tests/functional/lake/test_lake_machine.py tests/functional/ingest/test_replay_quarantine_machine.py
endif

mutations: $(DEV) ## put each mended fault back, in a copy, and hold that its tests turn red (ONLY=… a slug)
	@.venv/bin/python -m tests.mutations $(if $(ONLY),--only $(ONLY))

lint: $(DEV)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: $(DEV)
	@.venv/bin/mypy

imports: $(DEV)
	@PYTHONPATH=shared/src .venv/bin/lint-imports --no-logo

# the files that `make lock` writes hold no address of a registry, and no path of a machine
COMPILE := uv pip compile -q --universal --generate-hashes --python-version 3.13 --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
lock: $(TOOLS) ## pin every requirement again, with hashes
	@$(COMPILE) --group dev pyproject.toml -o requirements/dev.txt
	@$(COMPILE) --group stack pyproject.toml -o requirements/stack.txt
	@$(COMPILE) --group code pyproject.toml -c requirements/dev.txt -o shared/requirements.txt
	@for layer in sql delta arrow onnx ml lineage workbook; do \
	  $(COMPILE) --group $$layer pyproject.toml -c requirements/dev.txt -o layers/$$layer/requirements.txt; done

clean: ## remove what was built and installed
	rm -rf .venv .venv-stack .tools .aws-sam build
