# Every target works on a fresh clone with Python 3.11 and make: what it needs is installed first.
.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow lint types leaderboard bench lock clean

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
RUN_DEMO := runs/demo

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

install: $(READY)  ## make .venv with everything in requirements.lock, and srbench itself

# uv installs the whole set in under a minute; the lock names versions, never addresses. Compiled bytecode halves the
# seconds that every first import of Lightning costs.
$(READY): requirements.lock pyproject.toml setup.py
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit("srbench needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

# A second `make demo` goes on where a killed one stopped, and only prints when there is nothing left to do.
demo: install  ## train two minutes, test beside bicubic, print a leaderboard and a page
	$(BIN)/srbench fit --config demo.yaml --ckpt_path last
	$(BIN)/srbench test --config demo.yaml --ckpt_path last
	$(BIN)/srbench test --config demo.yaml --model Bicubic
	@echo
	$(BIN)/srbench leaderboard --records $(RUN_DEMO) --csv $(RUN_DEMO)/leaderboard.csv --md $(RUN_DEMO)/leaderboard.md --html $(RUN_DEMO)/index.html

test: install  ## every test but the slow ones
	$(BIN)/python -m pytest -m "not slow" tests

test-slow: install  ## the rest: several processes, real data, minutes
	$(BIN)/python -m pytest -m slow tests

lint: install  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Checkers cannot see the folder mapping of setup.py, so they get a view of links that has it.
types: install  ## static types
	rm -rf .view && mkdir -p .view/srbench
	ln -s $(CURDIR)/bench/* $(CURDIR)/modules $(CURDIR)/datamodules $(CURDIR)/configs .view/srbench/
	$(BIN)/mypy -p srbench
	$(BIN)/mypy tests

leaderboard: install  ## rebuild results/leaderboard.{csv,md,svg} from results/records
	$(BIN)/srbench leaderboard
	$(BIN)/srbench leaderboard --svg results/leaderboard.svg >/dev/null

bench: install  ## speeds as ratios, measured side by side in one run
	$(BIN)/python tests/benchmarks/bench_selective_scan.py
	$(BIN)/python tests/benchmarks/bench_harness.py
	$(BIN)/python tests/benchmarks/bench_degradation.py
	$(BIN)/python tests/benchmarks/bench_scoring.py

# Only Linux has CUDA packages; elsewhere torch comes without them.
lock: install  ## resolve pyproject.toml anew into requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --python $(BIN)/python --no-header --no-annotate --no-emit-index-url \
		--extra all --extra dev pyproject.toml > requirements.lock.new
	sed -E "s/^((nvidia|cuda)-.*|triton==.*)$$/\\1 ; sys_platform == 'linux'/; s/^(bitsandbytes==.*)$$/\\1 ; sys_platform != 'darwin'/" \
		requirements.lock.new > requirements.lock
	rm requirements.lock.new

clean:  ## remove what was generated here
	rm -rf .view build *.egg-info .mypy_cache .ruff_cache .pytest_cache
