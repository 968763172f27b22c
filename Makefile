# Every target makes its own virtual environment in .venv and needs only Python 3.11+, pip and make.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: demo test fuzz lint types bench clean

demo: $(STAMP)
	$(BIN)/python examples/digits.py

test: $(STAMP)
	$(BIN)/python -m pytest -n auto

fuzz: $(STAMP)
	FUNCTRANS_FUZZ=5000 $(BIN)/python -m pytest tests/compiler/test_fuzz.py -k many

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/pip install --quiet -e '.[peers]'
	$(BIN)/python -m benchmarks --peers jax,torch,autograd

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf .venv build dist out *.egg-info
