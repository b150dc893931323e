# Every command of the project. All are idempotent and work from a fresh clone.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
KSERVE_VENV := .venv-kserve
KSERVE_STAMP := $(KSERVE_VENV)/.installed
LAPTOP_VENV := .venv-laptop
LAPTOP_STAMP := $(LAPTOP_VENV)/.installed
PYTHON ?= python3
RPC := serving-image/src/seatrial_server/protocol/rpc

.PHONY: help demo test check fmt bench bench-rollouts generate lock image test-kind plugin cluster-up cluster-down clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(STAMP) ## the main job on a real cluster: a promotion, four refusals, drift that is cured, no failed answer, a table
	@$(PY) -m tests.cluster.demo

test: check $(KSERVE_STAMP) $(LAPTOP_STAMP) ## every test: fast gate, contract, simulation, end-to-end on the cluster
	@$(PY) -m pytest -q -n auto -m long tests/unit
	@$(PY) -m pytest -n 2 --dist loadfile --durations=25 tests/contract tests/simulation
	@$(PY) -m pytest --durations=10 tests/cluster

check: $(STAMP) ## the fast gate: format, lint, types, import contracts, generated files, the quick unit tests
	@$(VENV)/bin/ruff format --check -q . && $(VENV)/bin/ruff check -q .
	@$(VENV)/bin/mypy --no-error-summary
	@$(VENV)/bin/lint-imports --no-logo > .check.log || { cat .check.log; rm -f .check.log; exit 1; }; rm -f .check.log
	@$(VENV)/bin/vulture
	@$(PY) -m seatrial.cli.main generate --check
	@$(PY) -m pytest -q -n auto -m "not long" tests/unit

fmt: $(STAMP) ## format and fix what can be fixed
	@$(VENV)/bin/ruff check -q --fix . ; $(VENV)/bin/ruff format -q .

bench: $(STAMP) ## measure: detection table of the statistics, server against raw ONNX Runtime
	@$(PY) -m tests.bench

bench-rollouts: $(STAMP) ## measure on the test cluster: how fast bad versions are found, and that no good one is (25 minutes)
	@$(PY) -m tests.bench rollouts --write docs/reference/measured-rollouts.md

generate: $(STAMP) ## write the generated files: CRD and its copies, reference pages, compiled .proto
	@$(PY) -m seatrial.cli.main generate
	@$(PY) -m grpc_tools.protoc -I $(RPC) --descriptor_set_out=$(RPC)/open_inference.binpb open_inference.proto

lock: $(STAMP) ## resolve the dependencies anew into requirements/
	@requirements/lock

image: ## build both images with docker, podman or buildah (VERSION=, REGISTRY=, ENGINE=, BASE=; PUSH=1 pushes them)
	@VERSION='$(VERSION)' REGISTRY='$(REGISTRY)' ENGINE='$(ENGINE)' BASE='$(BASE)' PUSH='$(PUSH)' \
	  PYTHONPATH=operator/src PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m seatrial.cli.image

plugin: $(STAMP) ## build dist/kubectl-seatrial, the kubectl plugin as one file for machines like this one
	@rm -rf dist/site && mkdir -p dist
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes --target dist/site -r requirements/plugin.txt
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --target dist/site .
	@$(VENV)/bin/shiv --compressed --reproducible --site-packages dist/site -e seatrial.plugin.main:main -o dist/kubectl-seatrial
	@rm -rf dist/site

cluster-up: $(STAMP) ## start the test cluster (CLUSTER=kind: with Docker and kind)
	@$(PY) -m tests.cluster.harness up

test-kind: $(STAMP) ## the end-to-end suite on Docker and kind, where this machine has them
	@CLUSTER=kind $(PY) -m pytest tests/cluster/test_rollouts.py tests/cluster/test_artifacts.py

cluster-down: $(STAMP) ## stop the test cluster and leave no trace
	@$(PY) -m tests.cluster.harness down

clean: ## remove the environments and tool caches of this clone
	@rm -rf $(VENV) $(KSERVE_VENV) $(LAPTOP_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(STAMP): requirements/dev.txt pyproject.toml
	@echo "installing the Python environment into $(VENV) (about a minute)"
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian, apt-get install python3-venv"; exit 1; }
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(KSERVE_STAMP): requirements/kserve-client.txt
	@echo "installing the kserve client into $(KSERVE_VENV)"
	@$(PYTHON) -m venv $(KSERVE_VENV)
	@$(KSERVE_VENV)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/kserve-client.txt
	@touch $@

$(LAPTOP_STAMP): requirements/laptop.txt
	@echo "installing what data scientists have into $(LAPTOP_VENV)"
	@$(PYTHON) -m venv $(LAPTOP_VENV)
	@$(LAPTOP_VENV)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/laptop.txt
	@touch $@
