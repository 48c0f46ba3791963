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
PYTEST := $(PYTHON) -m pytest --durations=5

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

.PHONY: demo demo-prometheus demo-down pictures
demo: deps tools  ## Watch a bad model being taken back on a real Kubernetes (KUBE_CONTEXT=… for one of your own)
	$(PYTHON) -m tests.demo up

demo-prometheus: deps  ## Open the Prometheus of the demo with its pages, for a browser on this machine
	$(PYTHON) -m tests.demo prometheus

pictures: deps browser  ## Draw the pictures of the README anew, from the demo that runs
	$(PYTHON) -m tests.demo pictures

demo-down: deps  ## Remove every trace of the demo
	$(PYTHON) -m tests.demo down

##@ Local Kubernetes
.PHONY: tools browser cluster-up cluster-monitoring cluster-down cluster-status images sbom
CLUSTER ?= local
tools:  ## Install the Debian packages that clusters with pods need, if any is missing
	python3 -m tests.cluster install-tools

browser:  ## Install a browser for the tests of pages, if there is none
	python3 -m tests.cluster install-tools --browser

cluster-up: tools  ## Bring up a Kubernetes with real pods on this machine (needs root; CLUSTER=name, default local)
	python3 -m tests.cluster up --name $(CLUSTER) --shape full

cluster-monitoring: cluster-up  ## Add Prometheus Operator, Prometheus and Alertmanager to it
	python3 -m tests.cluster monitoring --name $(CLUSTER)

cluster-down:  ## End it; nothing stays but caches
	python3 -m tests.cluster down --name $(CLUSTER)

cluster-status:  ## Show which of its processes run
	python3 -m tests.cluster status --name $(CLUSTER)

sbom:  ## Print what the image of the model server is made of, as CycloneDX (make images comes first)
	@python3 -m tests.cluster sbom

images: tools  ## Build both images, and import them if the cluster is up
	python3 -m tests.cluster images --name $(CLUSTER)

##@ Tests
.PHONY: test test-unit test-contract test-monitoring test-serving test-integration test-browser test-e2e
test: test-unit test-contract test-integration test-e2e test-serving test-monitoring test-browser  ## Run every test; with -j2 -Otarget in little more than half of the time

test-unit: deps  ## Pure logic: no cluster, network or TensorFlow
	$(PYTEST) tests/unit

test-contract: deps  ## What the operator and the model server agree on, held against both
	$(PYTEST) tests/contract

test-monitoring: deps  ## The alerts, with Prometheus' own tools
	$(PYTEST) tests/monitoring

test-serving: deps  ## The model server and the trainer with real TensorFlow
	$(PYTEST) tests/serving

test-integration: deps  ## The operator against a real API server, without nodes (no root needed)
	$(PYTEST) tests/integration

test-browser: deps browser  ## The operator's page in a real browser
	$(PYTEST) tests/browser

test-e2e: deps tools  ## Everything on a real Kubernetes with real pods (needs root)
	$(PYTEST) tests/e2e

##@ Benchmarks
.PHONY: bench-judgement bench-metrics bench-serving bench-operator bench-soak soak
MINUTES ?= 30
bench-judgement: deps  ## False alarms and labels to detection: a gauge with a threshold against the sequential test
	$(PYTHON) -m tests.benchmarks.judgement

bench-metrics: deps  ## What a scrape costs, what metrics and traces cost a prediction, what judging from Prometheus costs
	$(PYTHON) -m tests.benchmarks.metrics
	$(PYTHON) -m tests.benchmarks.prometheus_source

bench-serving: deps  ## Requests a second in every protocol, beside the function itself, the bare servers and peers (15 min)
	$(PYTHON) -m tests.benchmarks.serving $(if $(WEIGHTS),--weights)

bench-operator: deps  ## The operator with 100, 300 and 1000 models, beside plain Deployments and a bare client (25 min)
	$(PYTHON) -m tests.benchmarks.fleet

bench-soak: deps  ## Memory over 200,000 requests, and with the queue held full for a minute
	$(PYTHON) -m tests.benchmarks.serving --soak

soak: deps  ## The operator under constant change for half an hour: memory, queue, writes (MINUTES=5 for less)
	$(PYTHON) -m tests.benchmarks.soak --minutes $(MINUTES)

##@ Code
.PHONY: lint format generate verify lock
lint: deps  ## Check style, types and layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy operator/modeldeployment_operator serving_image/model_server serving_image/model_trainer
	$(VENV)/bin/mypy manifests tests/benchmarks tests/browser tests/cluster tests/demo tests/e2e tests/golden tests/monitoring tests/pictures tests/support
	$(VENV)/bin/lint-imports

format: deps  ## Rewrite the code in the project's style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

CRDS := modeldeployments modelverdicts
generate: deps  ## Make the CRD from the models, the dashboards from their descriptions, messages from .proto files
	for kind in $(CRDS); do $(PYTHON) -m modeldeployment_operator.api.crd $$kind > crds/$$kind.modelops.dev.yaml || exit 1; done
	$(PYTHON) -m manifests.dashboards
	$(PYTHON) -m tests.support.protocol_buffers

verify: deps  ## Fail if a generated file is not what `make generate` makes
	for kind in $(CRDS); do $(PYTHON) -m modeldeployment_operator.api.crd $$kind | diff -u crds/$$kind.modelops.dev.yaml - || \
		{ echo "run: make generate"; exit 1; }; done
	$(PYTHON) -m manifests.dashboards --check
	$(PYTHON) -m tests.support.protocol_buffers --check

COMPILE := $(VENV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11
LOCK := $(COMPILE) --python-platform x86_64-unknown-linux-gnu pyproject.toml
lock: deps  ## Renew the lock files: the tests' first, then the images' with the same versions
	$(LOCK) --upgrade --all-extras -o tests/requirements.txt
	$(LOCK) --extra operator -c tests/requirements.txt -o operator/requirements.txt
	$(LOCK) --extra server -c tests/requirements.txt -o serving_image/requirements.txt
	$(subst x86_64,aarch64,$(LOCK)) --extra server -c tests/requirements.txt -o serving_image/requirements.arm64.txt
	$(LOCK) --extra server -c tests/requirements.txt --no-config --override serving_image/gpu.overrides \
		serving_image/gpu.in -o serving_image/requirements.gpu.txt
	$(COMPILE) --universal --upgrade image/tools.in -o image/tools.txt
