# make demo    from nothing to a book about real speech
# make test    the tests
# make test-browser    the tests of the pages of widgets in Chromium
# make annotate, make explore    serve one of these pages to browsers of this machine
# make book EXPERIMENT=experiments/published.yaml    another study, in an environment that is there
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
EXPERIMENT ?= experiments/demo.yaml
PORT ?= 8866
CORPUS ?=
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)

# As many jobs at once on GPUs as there are GPUs; without any, all jobs share the cores.
GPUS ?= $(shell nvidia-smi -L 2>/dev/null | grep -c GPU | sed -n 's/^[1-9][0-9]*$$/--resources gpu=&/p')

BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
# What people type is not expanded by make either: a dollar in it stays a dollar.
override EXPERIMENT := $(value EXPERIMENT)
override CORPUS := $(value CORPUS)

# What people type reaches a shell by the environment only, so that quotes and backticks in it stay what they are.
export EXPERIMENT CORPUS

.PHONY: demo book annotate explore test test-browser lint clean

# Checked before minutes of installing: the demo's recordings come as Debian packages.
demo:
	@if [ -z "$$CORPUS" ] && grep -Eq "source: (voices|prompts)" "$$EXPERIMENT" && [ ! -d corpora/voices/sources ] && \
	  ! { command -v apt-get && command -v dpkg-deb; } >/dev/null; then \
	  echo "error: the demo's recordings need apt-get and dpkg-deb (Debian, Ubuntu), which are not here; go on with" >&2; \
	  echo "  make demo CORPUS=synthetic, or make demo CORPUS=<folder of own recordings>" >&2; exit 1; fi
	@$(MAKE) --no-print-directory --silent $(READY)
	@$(MAKE) --no-print-directory book

book:
	@set -eo pipefail; study=$$(python -m sslig.study "$$EXPERIMENT" --corpus "$$CORPUS"); \
	echo "finished pages come to $$(python -m sslig.study "$$study" --runs)/pages, the book at the end" >&2; \
	snakemake --cores $(CORES) $(GPUS) --config experiment="$$study" 2>&1 | python -m sslig.pipeline.progress; \
	echo "$$(python -m sslig.study "$$study" --runs)/book/_build/html/index.html"

annotate explore: $(READY)
	@python -m sslig.widgets.serve "$$EXPERIMENT" --page $@ --port $(PORT)

test: $(READY)
	@python -m pytest -n $(CORES) --dist worksteal --ignore=tests/browser --ignore=tests/cluster

test-browser: $(READY)
	@python -m pytest tests/browser

lint: $(READY)
	@ruff check . && ruff format --check .

# The stamp is newer than pyproject.toml once everything in it is installed.
$(READY): pyproject.toml
	@echo "environment: installing into $(VENV), some minutes the first time"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name one with make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "error: no venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo,test,dev]" \
	  2> >(grep -v "is ignored: it is neither" >&2)
	@touch $@

clean:
	rm -rf runs book/_build .snakemake
