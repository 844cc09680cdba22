# The README's two commands, `make demo` and `make test`, do the whole set-up themselves on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test lint types unit docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (log: .setup.log) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "pdeflow needs Python 3.11 or newer; call make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -c constraints.txt -e '.[dev]' > .setup.log 2>&1 || { tail -40 .setup.log; exit 1; }
	@touch $(STAMP)

demo: setup
	@$(BIN)/pdeflow run configs/experiments/darcy_quickstart.yaml

test: lint types unit

lint: setup
	@$(BIN)/ruff check .

types: setup
	@$(BIN)/mypy

unit: setup
	@$(BIN)/python -m pytest

docs: setup
	@$(BIN)/python -c 'import sphinx, myst_parser, sphinx_gallery' 2> /dev/null || \
		$(BIN)/python -m pip install -c constraints.txt -e '.[docs]' > .setup.log 2>&1 || { tail -40 .setup.log; exit 1; }
	@$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build/html && echo docs/_build/html/index.html

clean:
	rm -rf $(VENV) runs build dist .setup.log docs/_build docs/generated
