# Everything runs in a virtual environment of its own, made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lab bench lint sim campaign fuzz model clean

demo: $(STAMP)
	$(BIN)/python -m examples.demo --out out/demo

test: lint
	$(BIN)/pytest

lab: $(STAMP)
	GOSSIPSA_LAB=required $(BIN)/pytest -m lab -s tests/lab

bench: $(STAMP)
	$(BIN)/python -m tests.bench

sim: $(STAMP)
	$(BIN)/python -m sim all --seeds 0..19

campaign: $(STAMP)
	$(BIN)/python -m sim campaign --seeds 0..9999 --jobs 2

# Coverage-guided where there is a wheel of atheris for this Python, else plain mutation.
fuzz: $(STAMP)
	-$(BIN)/pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz all --executions $(or $(EXECUTIONS),100000)

model: $(STAMP)
	$(BIN)/python -m formal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) out build *.egg-info

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,demo]'
	touch $@
