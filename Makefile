# Two commands do everything on a fresh Linux machine with Python 3.11+: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/demo
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow lint setup default-model clean

demo: $(STAMP)  ## train nano through all stages, measure it, write $(OUT)/report.html
	$(BIN)/varco-vision demo --out $(OUT) --resume $(DEMO)

test: $(STAMP)  ## the default suite, under 10 minutes on 2 cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TEST)

test-slow: $(STAMP)  ## the marked suites: a whole demo among them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow $(TEST)

lint: $(STAMP)
	$(BIN)/ruff check src tests examples scripts benchmarks && $(BIN)/ruff format --check src tests examples scripts benchmarks

setup: $(STAMP)

default-model: $(STAMP)  ## put the model of $(OUT) into the package as its default
	$(BIN)/python scripts/ship_default.py $(OUT)/preference/model

# torch is pinned first: an unpinned one pulls gigabytes of CUDA. koreanize-matplotlib is taken for its fonts alone.
$(STAMP): pyproject.toml constraints.txt scripts/system_packages.sh
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'Python 3.11 or newer is needed, found ' + sys.version"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps koreanize-matplotlib
	sh scripts/system_packages.sh
	touch $@

clean:
	rm -rf $(VENV) build dist src/*.egg-info
