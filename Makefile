# Fillgate. `make up` starts a paper gateway; `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell deploy/fastest-python.sh)
BIN    := .venv/bin
PIP    := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
RUN    := .venv/.run-installed
DEV    := .venv/.dev-installed

ORDERS ?= 500
TICKS  ?= $(wildcard ../shared/data/ticks)
BENCH  ?=
LOCUST ?=
SOAK   ?=
MUTANTS ?=
MUTANTS_SAMPLE ?=
MUTANT_JOBS ?= 2
CASES  ?= $(abspath ../shared/data/compliance_cases.json)

WORLDS := $(filter-out %kills.py,$(wildcard tests/world/test_*.py))
PURE   := domain/*,compliance/*,streaming/*

.PHONY: help install up demo test test-parts test-worlds check check-deploy scan
.PHONY: format bench bench-compare locust mutants soak reliability coverage api lock clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

# ---------------------------------------------------------------- install

install: $(RUN) $(DEV) ## make .venv with everything; at once where nothing changed

.venv/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Fillgate needs Python 3.11 or newer; set PYTHON=/path/to/it" >&2; exit 1; }
	@echo "making .venv with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv .venv

$(RUN): requirements/run.txt pyproject.toml | .venv/bin/python
	@echo "installing what Fillgate runs on (about half a minute)"
	@$(PIP) --require-hashes -r requirements/run.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	@echo "installing what tests, checks and benches need (about a minute)"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

api: $(RUN) ## write docs/openapi.json and docs/asyncapi.json from the code
	@$(BIN)/fillgate api openapi > docs/openapi.json
	@$(BIN)/fillgate api asyncapi > docs/asyncapi.json

lock: $(DEV) ## choose versions anew and write requirements/*.txt
	@cd requirements && for name in run dev; do \
	  ../$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
	    --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	    --no-emit-options --output-file $$name.txt $$name.in; done

# ---------------------------------------------------------------- run

up: $(RUN) ## start the gateway: paper trading on this machine, until Ctrl-C
	@exec $(BIN)/fillgate up

demo: $(RUN) ## trade ORDERS=500 orders over replayed ticks and compare all three books
	@$(BIN)/fillgate demo --orders $(ORDERS) $(if $(TICKS),--ticks $(TICKS))

bench: $(DEV) ## time everything in short, write docs/benchmarks.md. BENCH="--only many_orders"
	@$(BIN)/python -m bench.suite $(BENCH)

bench-compare: $(DEV) ## hold the last `make bench` against bench/baseline.json
	@$(BIN)/python -m bench.compare bench/baseline.json bench/results/latest.json

locust: $(DEV) ## let users of all kinds loose on a deployment of their own. LOCUST="--users 60"
	@$(BIN)/python -m bench.under_locust $(LOCUST)

# ---------------------------------------------------------------- prove

check: $(DEV) check-deploy scan ## format, lint, types, imports, architecture, deployment files, scans
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_architecture.py

scan: $(DEV) ## look for secrets in the source and for known holes in what we run on
	$(BIN)/python .ci/scan_secrets.py
	$(BIN)/python .ci/scan_dependencies.py

check-deploy: $(DEV)
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/compose-lint --quiet deploy/compose.yaml
	@if command -v promtool >/dev/null; then promtool check rules deploy/alerts.yml; \
	  else echo "no promtool here: deploy/alerts.yml is only parsed"; fi

test: $(DEV) ## every test but soak, with the coverage gates
	@rm -f .coverage .coverage.*
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-parts test-worlds
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90
	$(BIN)/coverage report --fail-under=100 --include='$(PURE)'

test-parts: $(DEV) ## the tests of parts, and deployments that are killed under load
	$(BIN)/coverage run -m pytest tests --ignore=tests/soak --ignore=tests/chaos $(WORLDS:%=--ignore=%)

test-worlds: $(DEV) ## deployments that are used, cut, starved and stopped
	$(BIN)/coverage run -m pytest $(WORLDS)
	$(BIN)/coverage run --rcfile=tests/chaos/coverage.ini -m pytest tests/chaos

coverage: ## write htmlcov/ from the last `make test`
	@$(BIN)/coverage html --quiet && echo "see htmlcov/index.html"

soak: $(DEV) ## the long forms of the goals, for hours; goes on where it stopped. SOAK="--only R1"
	@$(BIN)/python -m bench.soak $(SOAK)

reliability: $(DEV) ## write docs/reliability.md from what soaks counted
	@$(BIN)/python -m bench.soak --table

mutants: export COMPLIANCE_CASES := $(CASES)
mutants: export CI := 1
mutants: $(DEV) ## change compliance/ line by line, see which tests notice. MUTANTS_SAMPLE=600
ifneq ($(MUTANTS_SAMPLE),)
	nice $(BIN)/python -m bench.mutants_sample $(MUTANTS_SAMPLE) --jobs $(MUTANT_JOBS)
else
	nice $(BIN)/mutmut run --max-children $(MUTANT_JOBS) $(MUTANTS)
	@$(BIN)/mutmut export-cicd-stats && cat mutants/mutmut-cicd-stats.json
endif

format: $(DEV) ## write the format, and the lint fixes that are safe
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format .

clean: ## remove what make and the tools wrote (.venv too); journals stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@rm -rf mutants htmlcov .coverage .coverage.* build ./*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
