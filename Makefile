# Everything is set up by the first target that needs it; `make` alone lists the targets.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# The file that the demo converts; empty: a sample file is written.
RAW ?=
MODEL ?=
# Extra arguments for pytest, e.g. TESTS=tests/unit or TESTS='-k replay'.
TESTS ?=
STACK ?= echodrop
# Options of a release: stack parameters, print the steps without running them, do not ask.
PARAMETERS ?=
DRY_RUN ?=
YES ?=
DELETE_DATA ?=
RELEASE = --stack '$(STACK)' $(if $(DRY_RUN),--dry-run) $(foreach each,$(PARAMETERS),--parameter '$(each)')

# Tests start hundreds of processes, and each would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo up test trial quick check format lock images deploy undeploy clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: .venv/ready ## create the environment (other targets do this automatically)

.venv/ready: pyproject.toml constraints.txt
	@[ -n "$(PYTHON)" ] || { echo "echodrop needs Python 3.11, 3.12 or 3.13 on PATH (or PYTHON=/path/to/python)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/system-packages python3-venv
	@echo "Setting up .venv with $$($(PYTHON) --version) (about a minute) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv 2>.venv/pip.log || { cat .venv/pip.log >&2; exit 1; }
	@# Compiled once here, and not by the first process of each package.
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@
	@echo "Done. For the command echodrop: source .venv/bin/activate"

demo: .venv/ready ## convert a file to a verified Zarr store through the whole system (RAW=path or s3://…, MODEL=EK80)
	@$(BIN)/echodrop demo $(if $(RAW),--raw '$(RAW)') $(if $(MODEL),--model '$(MODEL)')

up: .venv/ready ## run the whole system on this machine until Ctrl-C
	@$(BIN)/echodrop up

# Three at a time on two cores, since tests of running systems mostly wait; the order is tests/conftest.py's.
PYTEST = $(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder

test: .venv/ready ## run the tests, all but the trials
	@$(PYTEST) -m "not trial" $(TESTS)

trial: .venv/ready ## run the trials: minutes of faults and load on the whole system
	@$(PYTEST) -m trial tests/e2e $(TESTS)

quick: .venv/ready ## check style and types, and run the tests that need no server
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# The types are checked beside the first tests.
	@$(BIN)/mypy & types=$$!; \
	$(BIN)/python -m pytest -n 3 --dist loadgroup -m "not slow" --hypothesis-profile quick tests/unit tests/template $(TESTS); tests=$$?; wait $$types && exit $$tests

check: .venv/ready ## check code style and types, the template, its policies, the image and the workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	checks/run

format: .venv/ready ## fix code style with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/ready ## update every file of exact versions
	$(BIN)/uv pip compile --quiet --universal --no-emit-index-url --python-version 3.11 --all-extras --upgrade \
	  --custom-compile-command 'make lock' pyproject.toml --output-file constraints.txt
	image/lock
	lambda_trigger/lock
	checks/lock

images: .venv/ready ## build and push both images and save their digests (STACK=echodrop DRY_RUN=1)
	@$(BIN)/echodrop images $(RELEASE)

deploy: .venv/ready ## release this code: images, stack and Prefect, with checks (STACK= PARAMETERS='A=b C=d' DRY_RUN=1 YES=1)
	@$(BIN)/echodrop release $(RELEASE) $(if $(YES),--yes)

undeploy: .venv/ready ## delete the stack but not its data (STACK= DRY_RUN=1 YES=1 DELETE_DATA='bucket ...')
	@$(BIN)/echodrop undeploy --stack '$(STACK)' $(if $(DRY_RUN),--dry-run) $(if $(YES),--yes) \
	  $(foreach bucket,$(DELETE_DATA),--delete-data '$(bucket)')

clean: ## delete the environment and generated files
	rm -rf .venv .echodrop build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
