# Everything that PMS needs to run its demo and its tests, installed once: `make help` says what there is to do.
# The environments carry a stamp each, so that a second run installs nothing and works without a network.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: bench chaos check clean demo distclean help servers shells test

PYTHON ?= python3
ARGS ?=
QUICK ?=
SEED ?=
OCTOPRINT ?=
MINUTES ?= 3
# The tests wait for servers more than they compute, so more of them run than there are cores.
PROCESSES ?= 3
OCTOPRINT_VERSION := 1.11.8

ENVIRONMENT := .venv
OCTOPRINT_ENVIRONMENT := .venv-octoprint
INSTALLED := $(ENVIRONMENT)/.installed
OCTOPRINT_INSTALLED := $(OCTOPRINT_ENVIRONMENT)/.installed

PIP_OPTIONS := --disable-pip-version-check --no-input --progress-bar off --quiet

export PYTHON

demo: export PMS_DEMO_OCTOPRINT := $(CURDIR)/$(OCTOPRINT_ENVIRONMENT)/bin/octoprint
demo: $(INSTALLED) $(if $(OCTOPRINT),$(OCTOPRINT_INSTALLED)) ## Run a small farm of simulated printers; with OCTOPRINT=1 on real OctoPrint servers
	$(ENVIRONMENT)/bin/pms-coordinator demo $(if $(OCTOPRINT),--octoprint) $(ARGS)

test: $(INSTALLED) $(OCTOPRINT_INSTALLED) servers shells check ## Run the checks and all tests; ARGS="-k word" goes to pytest
	$(ENVIRONMENT)/bin/python -m pytest --numprocesses $(PROCESSES) --dist loadfile $(ARGS)

check: $(INSTALLED) ## Run the linter, the formatter's check, the type checker and the check of the imports
	$(ENVIRONMENT)/bin/ruff check .
	$(ENVIRONMENT)/bin/ruff format --check .
	$(ENVIRONMENT)/bin/mypy
	$(ENVIRONMENT)/bin/lint-imports

bench: $(INSTALLED) $(OCTOPRINT_INSTALLED) servers ## Measure every budget in 20 minutes, or some of it in 3; QUICK=1
	$(ENVIRONMENT)/bin/python -m bench $(if $(QUICK),--scale quick) $(ARGS)

chaos: $(INSTALLED) $(OCTOPRINT_INSTALLED) servers ## Break everything at random and audit the farm; SEED=1 MINUTES=3
	$(ENVIRONMENT)/bin/python -m tests.chaos $(if $(SEED),--seed $(SEED)) --minutes $(MINUTES) $(ARGS)

clean: ## Remove what builds, checks and tests leave behind; data of a farm (pms-data) stays
	rm -rf build dist test-report .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(wildcard pms workers tests bench) -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove the environments too; the next run installs them again
	rm -rf $(ENVIRONMENT) $(OCTOPRINT_ENVIRONMENT) *.egg-info

help: ## Say what there is to do
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | sort | expand -t 20
	@echo '  PYTHON=python3.12 chooses the interpreter of new environments (3.11, 3.12 or 3.13).'

servers:
	@scripts/install-debian-packages servers compiler

shells:
	@scripts/install-debian-packages shells

$(INSTALLED): constraints.txt setup.cfg pyproject.toml
	@echo "Installing PMS into $(ENVIRONMENT) ..."
	@scripts/make-environment $(ENVIRONMENT) constraints.txt
	@$(ENVIRONMENT)/bin/python -m pip install $(PIP_OPTIONS) --quiet --no-build-isolation \
		--constraint constraints.txt --editable '.[bench,test]'
	@touch $@

$(OCTOPRINT_INSTALLED): constraints-octoprint.txt
	@echo "Installing OctoPrint $(OCTOPRINT_VERSION) into $(OCTOPRINT_ENVIRONMENT) ..."
	@scripts/install-debian-packages compiler
	@scripts/make-environment $(OCTOPRINT_ENVIRONMENT) constraints-octoprint.txt
	@$(OCTOPRINT_ENVIRONMENT)/bin/python -m pip install $(PIP_OPTIONS) \
		--build-constraint constraints-octoprint.txt --constraint constraints-octoprint.txt \
		OctoPrint==$(OCTOPRINT_VERSION)
	@touch $@
