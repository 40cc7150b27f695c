# The one place that says how dure is set up, run and checked; .ci/run only calls it.

PYTHON ?= python3
# An extra package index that is asked for torch alone, e.g. https://download.pytorch.org/whl/cpu. Where an index on offer
# has a CPU build (2.13.0+cpu, about 200 MB), pip prefers it; otherwise torch comes with gigabytes of CUDA libraries.
TORCH_INDEX ?=
# Where `make proto` writes; the house test points it elsewhere to compare.
PROTO_OUT ?= src

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
TORCH_PIN := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["torch"])

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow check fuzz bench bench-gpu bench-bib format proto clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: $(READY) ## make .venv and install everything the other targets need

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "dure needs Python 3.11 or newer; '$(PYTHON)' is not. Name one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) (the first time takes some minutes)"
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	@echo "  torch"
	@$(PY) -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	  $$($(PY) -c '$(TORCH_PIN)')
	@echo "  dure and what its development needs"
	@$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

run: $(READY) ## the main job: 10,000 sentences through SentenceEncoder
	$(PY) examples/sentence_encoder/main.py

test: $(READY) ## every test but the slow ones
	$(PY) -m pytest -m 'not slow'

test-slow: $(READY) ## the slow ones
	$(PY) -m pytest -m slow || [ $$? = 5 ] # 5: no test is marked slow

check: $(READY) ## format, lint, types, import contracts, house rules
	$(PY) -m ruff format --check --quiet .
	$(PY) -m ruff check --quiet .
	$(PY) -m mypy --no-error-summary
	$(VENV)/bin/lint-imports --no-logo --no-cache
	$(PY) -m pytest tests/house

fuzz: $(READY) ## bad input for everything that reads input, for FUZZ_SECONDS (120) in all
	$(PY) -m pytest tests/fuzz

bench: $(READY) ## measure, side by side in one run
	$(PY) benchmarks/run.py

bench-gpu: $(READY) ## measure a GPU beside the CPU: the chapter's problems, encoding, what nd costs
	$(PY) -m dure.bench.gpu

bench-bib: $(READY) ## train and predict on every device: times, ratios and scores
	$(PY) benchmarks/bib.py

format: $(READY) ## rewrite the sources in the house's format
	$(PY) -m ruff format --quiet .
	$(PY) -m ruff check --quiet --fix .

proto: $(READY) ## write the protobuf stubs again
	$(PY) -m grpc_tools.protoc -Isrc --python_out=$(PROTO_OUT) --pyi_out=$(PROTO_OUT) $(shell find src -name '*.proto')
	$(PY) -m grpc_tools.protoc -Isrc --grpc_python_out=$(PROTO_OUT) $(shell find src/dure/bib -name '*.proto')

clean: ## remove .venv and everything that was generated
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +
