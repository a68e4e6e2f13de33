# Every target is one line of work; CI calls only these. `make help` lists them.
PYTHON ?= python3.11
STACK ?= local
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup:  ## virtual environments and the Pulumi CLI (first time: up to 15 minutes, nearly all of it compiling Pulumi)
	@$(PYTHON) tools/setup.py && .venv/bin/python tools/pulumi_cli.py && .venv/bin/python -m local.environments

demo: setup  ## the whole deployment on this machine, to predictions in the warehouse [KEEP=1 leaves it running]
	@.venv/bin/python -m local.demo $(if $(KEEP),--keep)

stop: setup  ## stop what `make demo KEEP=1` left running
	@.venv/bin/python -m local.demo --stop

test: setup lint  ## lint, types and every test (about ten minutes)
	@.venv/bin/python -m tools.docker_daemon .venv/bin/pytest -m "not soak" --durations=10

soak: setup  ## the long proofs: each grant taken away in turn (about five minutes)
	@HYPOTHESIS_PROFILE=soak .venv/bin/pytest -m soak --durations=10

lint: setup  ## ruff, mypy and hadolint
	@ruff check . && ruff format --check . && mypy && hadolint container/Dockerfile

unit: setup  ## the tests that need no engine, no Airflow and no client (two to three minutes)
	@.venv/bin/pytest

example-data: setup  ## load the CDNOW transactions as the source table of a stack [STACK=local]
	@.venv/bin/python tools/example_data.py --stack $(STACK)

bench: setup  ## print the timings of README.md, with date and machine
	@.venv/bin/python -m bench

lock: setup  ## write the locks anew from pyproject.toml and each model's requirements.in
	@.venv/bin/python tools/lock.py

clean:  ## remove what rehearsals left: state, logs, caches of the tools (not .venv)
	@rm -rf .local .build .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help setup demo stop test soak lint unit example-data bench lock clean
