# Every target is one line of work; CI calls only these. `make help` lists them.
PYTHON ?= python3.11
STACK ?= local
BASE ?= origin/main
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup:  ## virtual environments and the Pulumi CLI (first time: up to 15 minutes, nearly all of it compiling Pulumi)
	@$(PYTHON) tools/setup.py && .venv/bin/python tools/pulumi_cli.py && .venv/bin/python -m local.environments

demo: setup  ## the whole deployment on this machine, to predictions in the warehouse [KEEP=1 leaves it running]
	@.venv/bin/python -m local.demo $(if $(KEEP),--keep)

model: setup  ## the folder of a new model that keeps the contract: NAME=churn
	@.venv/bin/python -m tools.new_model --name "$(NAME)"

check-model: setup  ## hold a model against the contract on its sample rows, in seconds: NAME=churn
	@.venv/bin/python -m tools.check_model --name "$(NAME)"

backfill: setup  ## apply a model to past days through Airflow, and verify each: MODEL= FROM= TO= [STACK=local]
	@.venv/bin/python -m tools.backfill --stack $(STACK) --model "$(MODEL)" --from "$(FROM)" --to "$(TO)"

env:  ## export lines with which `python -m service` finds a deployed model: eval "$(make env)" [STACK= MODEL=]
	@.venv/bin/python -m tools.job_environment --stack $(STACK) --model "$(MODEL)"

stop: setup  ## stop what `make demo KEEP=1` left running
	@.venv/bin/python -m local.demo --stop

test: setup lint  ## lint, types and every test (ten to twelve minutes on two cores)
	@.venv/bin/python -m tools.docker_daemon .venv/bin/pytest -m "not soak" --durations=10

soak: setup  ## the long proofs: each grant taken away, every kill, many histories, every preview (an hour or more)
	@HYPOTHESIS_PROFILE=soak .venv/bin/python -m tools.docker_daemon .venv/bin/pytest -m soak --durations=10

lint: setup  ## ruff, mypy and hadolint
	@ruff check . && ruff format --check . && mypy && hadolint container/Dockerfile

unit: setup  ## the tests that need no engine, no Airflow and no client (two to three minutes)
	@.venv/bin/pytest

bootstrap: setup  ## print what must exist before the first `up` [PROJECT= REGION= GITHUB=OWNER/REPO APPLY=1 runs it]
	@.venv/bin/python -m tools.bootstrap --project "$(PROJECT)" $(if $(REGION),--region $(REGION)) $(if $(GITHUB),--github $(GITHUB)) $(if $(APPLY),--apply)

preview: setup  ## what `pulumi up` would do, policies included [STACK= OFFLINE=1 needs no account BASE=origin/main]
	@$(if $(OFFLINE),.venv/bin/python -m local.preview --stack $(STACK) --base $(BASE),pulumi preview --stack $(STACK) --diff --policy-pack infra/policy)

recover: setup  ## mend a stack whose `up` was killed [STACK= ADOPT='NAME=ID']
	@.venv/bin/python -m tools.recover --stack $(STACK) $(if $(ADOPT),--adopt '$(ADOPT)')

down: setup  ## `pulumi destroy`, then list what is left of the stack [STACK=]
	@.venv/bin/python -m tools.down --stack $(STACK)

golden: setup  ## write anew what each stack declares, as text: tests/golden/
	@.venv/bin/python -m tests.infra.golden

verify-cloud: setup  ## list what no rehearsal proves, and with credentials check it [STACK=]
	@.venv/bin/python -m tools.verify_cloud --stack $(STACK)

example-data: setup  ## load the CDNOW transactions as the source table of a stack [STACK=local]
	@.venv/bin/python tools/example_data.py --stack $(STACK)

bench: setup  ## print the timings of README.md, with date and machine
	@.venv/bin/python -m bench

lock: setup  ## write the locks anew from pyproject.toml and each model's requirements.in
	@.venv/bin/python tools/lock.py

clean:  ## remove what rehearsals left: state, logs, caches of the tools (not .venv)
	@rm -rf .local .build .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help setup demo model check-model backfill env stop test soak lint unit bootstrap preview recover down golden verify-cloud example-data bench lock clean
