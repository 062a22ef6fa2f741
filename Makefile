# Every target works on a machine that has Python 3.11 or newer and make; nothing else is asked for.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
# Asked and not just looked up: a version manager's shim may be there without the version behind it.
PYTHON ?= $(shell for candidate in python3.11 python3.12 python3.13 python3; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$candidate" && break; \
	done)
# Whole files to a worker, so that what a file's tests share is made once; three, for two cores wait a third of the time.
PYTEST_FLAGS ?= -n 3 --dist loadfile
NAME ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench audit

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with all that the programs, tests and benchmarks need

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found" >&2; exit 1; }
	@# Asked of pip, which comes last: an interrupted setup leaves a python without one.
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing into $(VENV); torch is large, so this takes minutes the first time"
	$(BIN)/python -m pip install --quiet -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --no-deps -r constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

demo: setup ## Start a server and a runner, transcribe a recording, print its words
	$(BIN)/python -m deploy.demo

test: setup ## Run all tests
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

check: setup ## Check format, lint, types and the order of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml server runner tui shared deploy

bench: setup ## List the benchmarks, or run one: make bench NAME=upload
	$(BIN)/python -m benchmarks $(NAME)

audit: setup ## Look the pinned packages up among the known vulnerabilities; needs the network
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet pip-audit
	$(VENV)/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict
