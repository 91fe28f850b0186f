# lfdash. `make` alone lists the targets.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
SETUP   = @$(PYTHON) tools/setup.py --venv $(VENV)
WORKSPACE ?= $(or $(LFDASH_WORKSPACE),workspace)
CHROMIUM ?= $(shell command -v chromium || echo /usr/bin/chromium)

.PHONY: help run test cases slow lint types texts golden faults faults-short clusters soak e2e pictures bench upstream versions clean setup-run setup-dev setup-ray
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: setup-run  ## set up, make the demo workspace, serve on http://127.0.0.1:8501 (ARGS="--port 9000")
	-@$(BIN)/python -m lfdash.demo $(WORKSPACE)
	@exec $(BIN)/python -m lfdash --workspace $(WORKSPACE) $(ARGS)

test: setup-dev  ## set up, run all tests but the faults and those that need a browser or a scheduler (ARGS="-k name")
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not e2e and not faults and not slow and not versions and not clusters" $(ARGS)

cases: setup-dev  ## 51 inputs as people have them, each with what is wanted (tests/cases/cases.toml)
	$(BIN)/python -m pytest -v --no-header tests/cases $(ARGS)

slow: setup-dev  ## train every stage with every method, two steps each
	$(BIN)/python -m pytest -m slow $(ARGS)

faults-short: setup-dev  ## kill, fill, cut and confuse: what a run survives, in some five minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/faults $(ARGS)

faults: setup-dev  ## the same with every signal at every point, and with real training (LFDASH_SEED=N repeats)
	LFDASH_FAULTS=long $(BIN)/python -m pytest -n 2 --dist loadfile tests/faults $(ARGS)

clusters: setup-dev setup-ray  ## run jobs on a real Slurm and a real Ray of two nodes, on the loopback; needs Debian's slurmctld, slurmd, slurm-client, munge
	@PATH="$$PATH:/usr/sbin"; for program in slurmctld slurmd munged sbatch; do command -v $$program >/dev/null || { echo "$$program is missing. On Debian: apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge"; exit 1; }; done
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m clusters --durations=10 $(ARGS)

MINUTES ?= 30

soak: setup-dev  ## three dashboards, kills, pauses and failing reads for a while (MINUTES=30)
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) $(ARGS)

lint: setup-dev  ## ruff's rules, and who may import whom (contracts in pyproject.toml)
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: setup-dev  ## mypy, strict on core and machinery
	$(BIN)/mypy

texts: setup-dev  ## list the texts that a language lacks, where English stands in; a release has them all
	$(BIN)/python tools/texts.py

golden: setup-dev  ## rewrite the golden files; look at the difference before you commit it
	LFDASH_GOLDEN=write $(BIN)/python -m pytest -k golden

e2e: setup-dev  ## drive the real server in Chromium
	@test -x "$(CHROMIUM)" || { echo "Chromium is missing. On Debian: apt-get install -y chromium (elsewhere: make e2e CHROMIUM=/path/to/chromium)"; exit 1; }
	$(BIN)/python -m pytest -m e2e -n 2 --dist loadfile --no-loadscope-reorder tests/e2e $(ARGS)

pictures: setup-dev  ## take the pictures of docs/guide.md from the real page, in Chromium
	@test -x "$(CHROMIUM)" || { echo "Chromium is missing. On Debian: apt-get install -y chromium (elsewhere: make pictures CHROMIUM=/path/to/chromium)"; exit 1; }
	$(BIN)/python tools/pictures.py --chromium "$(CHROMIUM)"

bench: setup-dev  ## beside LlamaBoard: reading and drawing runs (docs/benchmarks.md), then time to a usable page
	$(BIN)/python bench/curves.py --write $(ARGS)
	$(BIN)/python bench/memory.py --write
	$(BIN)/python bench/startup.py

upstream: setup-dev  ## rewrite configs/upstream.json from the installed LLaMA-Factory
	$(BIN)/python -m lfdash.llamafactory.probe configs/upstream.json

versions: setup-dev  ## try LLaMA-Factory 0.9.2 to the newest for real, an hour and 3 GB (ARGS="--only 0.9.3")
	$(BIN)/python tools/versions.py $(ARGS)

clean:  ## remove caches and builds; .venv and workspaces stay
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis test-results
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

setup-run:
	$(SETUP) --extras train

setup-dev:
	$(SETUP) --extras train,dev

# Ray of the tests: in an environment of its own, since nothing of the dashboard wants it.
RAY_VENV   ?= $(or $(LFDASH_RAY),$(if $(LFDASH_TEST_CACHE),$(LFDASH_TEST_CACHE)/ray,.venv-ray))
RAY_LOCKED := tests/support/clusters/ray-constraints.txt

setup-ray:
	@cmp -s $(RAY_LOCKED) $(RAY_VENV)/constraints.txt || { \
	  $(PYTHON) -m venv --clear $(RAY_VENV) && \
	  $(RAY_VENV)/bin/pip install -q --disable-pip-version-check -c $(RAY_LOCKED) "ray[default]" && \
	  cp $(RAY_LOCKED) $(RAY_VENV)/constraints.txt; }
