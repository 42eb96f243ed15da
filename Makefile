# Two commands do everything on a fresh machine: `make quickstart` and `make test`.
# PYTHON chooses the interpreter (3.11 or newer); PIP_ARGS is handed to pip.
PYTHON ?= python3.11
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
OUT ?= quickstart-out
READY := $(VENV)/.ready

.PHONY: quickstart test lint types unit bench clean

quickstart: $(READY)
	$(BIN)/sarknowlip quickstart --out $(OUT)

test: lint types unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

unit: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

bench: $(READY)
	$(BIN)/pytest benchmarks -p no:xdist -s

# torch goes first and alone: a range would let pip fetch a build with gigabytes of CUDA.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(PIP_ARGS) $(shell grep -i '^torch==' constraints.txt)
	$(BIN)/python -m pip install -q $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) $(OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis
