# make demo    from nothing to a book about real speech
# make test    the tests
# make book EXPERIMENT=experiments/asvspoof5.yaml    another study, in an environment that is there
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
EXPERIMENT ?= experiments/demo.yaml
CORPUS ?=
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)

BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo book test lint clean

demo: $(READY)
	@$(MAKE) --no-print-directory book

book:
	@set -e; study=$$(python -m sslig.experiment $(EXPERIMENT) --corpus "$(CORPUS)"); \
	snakemake --cores $(CORES) --quiet all --rerun-incomplete --config experiment=$$study; \
	echo "$$(python -m sslig.experiment $$study --runs)/book/_build/html/index.html"

test: $(READY)
	@python -m pytest -n $(CORES)

lint: $(READY)
	@ruff check . && ruff format --check .

# The stamp is newer than pyproject.toml once everything in it is installed.
$(READY): pyproject.toml
	@echo "environment: installing into $(VENV), some minutes the first time"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "error: no venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name one with make PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -e ".[demo,test,dev]" 2> >(grep -v "is ignored: it is neither" >&2)
	@touch $@

clean:
	rm -rf runs book/pages book/_build .snakemake
