# Everything is set up by the first target that needs it; `make` alone lists the targets.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# Which real file the demo converts; empty: a sample file written on the spot.
RAW ?=
MODEL ?=
# Extra words for pytest, e.g. TESTS=tests/unit or TESTS='-k replay'.
TESTS ?=
STACK ?= echodrop
# Of a release: the stack's parameters, whether only to say what would be done, and not to ask.
PARAMETERS ?=
DRY_RUN ?=
YES ?=
DELETE_DATA ?=
RELEASE = --stack '$(STACK)' $(if $(DRY_RUN),--dry-run) $(foreach each,$(PARAMETERS),--parameter '$(each)')

.PHONY: help setup demo up test check format lock images deploy undeploy clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: .venv/ready ## make the environment (the other targets do it by themselves)

.venv/ready: pyproject.toml constraints.txt
	@[ -n "$(PYTHON)" ] || { echo "echodrop needs Python 3.11, 3.12 or 3.13 on PATH (or PYTHON=/path/to/python)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/system-packages python3-venv
	@echo "Setting up .venv with $$($(PYTHON) --version) (about a minute) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv 2>.venv/pip.log || { cat .venv/pip.log >&2; exit 1; }
	@# Compiled once here: tests and the sandbox start hundreds of processes, and where Python may not
	@# write its compiled modules (PYTHONDONTWRITEBYTECODE), each would compile echopype's imports again.
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/ready ## a file in, a verified Zarr store out, through every real part (RAW=path or s3://…, MODEL=EK80)
	@$(BIN)/echodrop demo $(if $(RAW),--raw '$(RAW)') $(if $(MODEL),--model '$(MODEL)')

up: .venv/ready ## the whole system on this machine, until Ctrl-C
	@$(BIN)/echodrop up

test: .venv/ready ## every test that this machine can run
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(TESTS)

check: .venv/ready ## lint, formatting, types; then the template, its policies, the image, the workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	checks/run

format: .venv/ready ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/ready ## make every file of exact versions anew from the ranges
	$(BIN)/uv pip compile --quiet --universal --no-emit-index-url --python-version 3.11 --all-extras --upgrade \
	  --custom-compile-command 'make lock' pyproject.toml --output-file constraints.txt
	image/lock
	lambda_trigger/lock
	checks/lock

images: .venv/ready ## build and push both images, keep their digests (STACK=echodrop DRY_RUN=1)
	@$(BIN)/echodrop images $(RELEASE)

deploy: .venv/ready ## release this code: check, images, stack, Prefect, check (STACK= PARAMETERS='A=b C=d' DRY_RUN=1 YES=1)
	@$(BIN)/echodrop release $(RELEASE) $(if $(YES),--yes)

undeploy: .venv/ready ## take the stack away, not its data (STACK= DRY_RUN=1 YES=1 DELETE_DATA='bucket ...')
	@$(BIN)/echodrop undeploy --stack '$(STACK)' $(if $(DRY_RUN),--dry-run) $(if $(YES),--yes) \
	  $(foreach bucket,$(DELETE_DATA),--delete-data '$(bucket)')

clean: ## remove what was set up and made
	rm -rf .venv .echodrop build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
