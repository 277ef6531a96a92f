# Lambent: `make demo` shows it, `make test` proves it, `make bench` measures it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup tools demo up test test-fast check format bench soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## make the virtual environment
	@# Compiled ahead, as an installed package is: where PYTHONDONTWRITEBYTECODE is set every start would compile anew.
	@$(BIN)/python -m compileall -q src

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Lambent needs Python 3.11 or newer; say make PYTHON=/path/to/python3.11."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

tools: setup ## install what tests and benchmarks use beyond Python (needs root; skipped otherwise)
	@sh scripts/install-tools.sh

demo: setup ## start a region, deploy three functions, invoke them, show their logs
	@$(BIN)/python examples/demo.py

up: setup ## run a region in the foreground
	@$(BIN)/lambent up

test: check tools ## every test
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/python -m pytest -m alone

test-fast: setup ## tests without the slow ones
	$(BIN)/python -m pytest -m "not slow"

check: setup ## style, types and the layers of the design
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: tools ## the numbers of docs/design.md §9 beside their goals
	@$(BIN)/python -m bench

soak: setup ## a thousand invocations at once, then ten minutes of mixed load over 200 functions, watching for leaks
	@$(BIN)/python -m bench.concurrency
	@$(BIN)/python bench/soak.py --seconds 600 --functions 200

clean: ## remove what make made
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
