# The entry point of everything: `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

# Everything that is built or downloaded lies outside the repository, keyed by what it is built from.
export MODELOPS_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/modelops
LOCK_HASH := $(shell sha256sum tests/requirements.txt | cut -c1-16)
VENV := $(MODELOPS_CACHE)/venv/$(LOCK_HASH)
PYTHON := $(VENV)/bin/python
export PYTHONPATH := $(CURDIR):$(CURDIR)/operator:$(CURDIR)/serving_image
export TF_CPP_MIN_LOG_LEVEL ?= 2
PYTEST := $(PYTHON) -m pytest

##@ Getting started
.PHONY: help
help:  ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: deps
deps: $(VENV)/.complete  ## Install the Python packages of development (into the cache, once for each lock file)

$(VENV)/.complete:
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	python3 -m venv --clear $(VENV)
	$(PYTHON) -m pip install --quiet --require-hashes --no-deps -r tests/requirements.txt
	touch $@

##@ Tests
.PHONY: test test-unit test-contract test-serving test-integration test-e2e
test: test-unit test-contract test-serving test-integration test-e2e  ## Run every test

test-unit: deps  ## Pure logic: no cluster, network or TensorFlow
	$(PYTEST) tests/unit

test-contract: deps  ## What the operator and the model server agree on, held against both
	$(PYTEST) tests/contract

test-serving: deps  ## The model server with real TensorFlow
	$(PYTEST) tests/serving

##@ Code
.PHONY: lint format generate verify lock
lint: deps  ## Check style, types and layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy operator/modeldeployment_operator serving_image/model_server serving_image/model_trainer
	$(VENV)/bin/lint-imports

format: deps  ## Rewrite the code in the project's style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

LOCK := $(VENV)/bin/uv pip compile pyproject.toml --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header \
	--python-version 3.11 --python-platform x86_64-unknown-linux-gnu
lock: deps  ## Renew the lock files: the tests' first, then the images' with the same versions
	$(LOCK) --upgrade --all-extras -o tests/requirements.txt
	$(LOCK) --extra operator -c tests/requirements.txt -o operator/requirements.txt
	$(LOCK) --extra server -c tests/requirements.txt -o serving_image/requirements.txt
