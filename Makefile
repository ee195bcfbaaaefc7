# make demo    see a model being trained and evaluated, in a few minutes, on any machine
# make test    style, types and all tests
# make setup   only .venv with what training and evaluation need (GPU=1: faiss-gpu instead of faiss-cpu)
# make clean   remove .venv

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := $(if $(GPU),requirements-gpu.txt,requirements.txt)

.PHONY: demo test setup lint type clean

demo: $(VENV)/.installed
	@$(BIN)/python demo.py

test: lint type
	@$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

type: $(VENV)/.installed-dev
	@$(BIN)/mypy .

setup: $(VENV)/.installed

$(VENV)/.installed: requirements-core.txt $(REQUIREMENTS) | $(VENV)/.python
	@echo "installing $(REQUIREMENTS) into $(VENV) (once; torch is large)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "installing requirements-dev.txt into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.10 or newer, or: make PYTHON=/path/to/python3 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "error: $$($(PYTHON) --version) is too old; this needs Python 3.10 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "error: no virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV)
