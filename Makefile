# The dozen commands of this project. `make help` lists them; nothing but Python 3.11 or newer, make and pip is
# needed. Everything is installed into .venv (Synapse for the tests into .venv-synapse), from locks with hashes.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_REQUIRE_VIRTUALENV :=

# The first Python that is new enough. Set PYTHON to choose another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	echo $$python; exit; fi; done)
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.stamp-run
DEV := $(VENV)/.stamp-dev
# The other homeserver that the tests join to ours.
SYNAPSE_VENV := .venv-synapse
SYNAPSE := $(SYNAPSE_VENV)/.stamp

# `make run NAME=example.org PORT=8010 ARGS="--set registration.enabled=true"`
NAME ?= $(if $(wildcard chamberlain.toml),,localhost)
PORT ?=
ARGS ?=
# `make test ARGS="tests/unit -k clock"`
TESTS ?= tests
JOBS ?= 2

.PHONY: help run test check lint fmt bench docs gen lock changelog clean

help: ## show this list
	@echo "chamberlain: what make can do"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUN) ## start a server on SQLite in ./data (NAME=localhost PORT=8008 ARGS=…)
	@exec $(BIN)/chamberlain serve $(if $(NAME),--name $(NAME)) $(if $(PORT),--port $(PORT)) $(ARGS)

test: $(DEV) $(SYNAPSE) ## run every test (ARGS="tests/unit -k clock" for some)
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal $(if $(ARGS),$(ARGS),$(TESTS))

check: $(DEV) ## the quick inner loop, under a minute: style, types of what changed, fast tests
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal tests/unit tests/contract/arch $(ARGS)

lint: $(DEV) ## style, formatting, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

fmt: $(DEV) ## format the code and mend what can be mended mechanically
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEV) ## measure a fresh server (ARGS=--help shows the choices)
	$(BIN)/python -m bench $(ARGS)

docs: $(DEV) ## build the documentation into site/
	$(BIN)/python tools/gen_docs.py --check
	$(BIN)/mkdocs build --strict --quiet

gen: $(DEV) ## write again what is made from the code: reference pages, example settings
	$(BIN)/python tools/gen_docs.py

lock: ## resolve the requirements anew into requirements*.lock
	$(PYTHON) tools/lock.py

changelog: $(DEV) ## show what the next release's entry in CHANGELOG.md would say
	$(BIN)/towncrier build --draft

clean: ## remove everything that make made; data/ stays
	rm -rf $(VENV) $(SYNAPSE_VENV) site build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "chamberlain needs Python 3.11 or newer; set PYTHON=/path/of/it"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): requirements.lock pyproject.toml | $(BIN)/pip
	@echo "installing into $(VENV) (once)"
	@$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.lock $(RUN)
	@echo "installing the tools for tests into $(VENV) (once)"
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

# Not compiled beforehand: the tests use a fifth of it.
$(SYNAPSE): requirements-synapse.lock | $(BIN)/pip
	@echo "installing Synapse for the tests into $(SYNAPSE_VENV) (once)"
	@$(PYTHON) -m venv $(SYNAPSE_VENV)
	@$(SYNAPSE_VENV)/bin/pip install --quiet --no-compile --require-hashes -r requirements-synapse.lock
	@touch $@
