# Two commands do everything on a fresh Linux machine with Python 3.11+: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/demo
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow test-peers lint setup mini ship check-mini clean

demo: $(STAMP)  ## train nano through all stages, measure it, write $(OUT)/report.html
	$(BIN)/varco-vision demo --out $(OUT) --resume $(DEMO)

test: $(STAMP)  ## the default suite, under 10 minutes on 2 cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TEST)

test-slow: $(STAMP)  ## the marked suites: a whole demo among them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow $(TEST)

test-peers: $(STAMP)  ## ours beside lmms-eval, CLEval and lm-evaluation-harness, in an environment of their own
	PYTHON=$(PYTHON) .ci/peers

lint: $(STAMP)
	$(BIN)/ruff check src tests examples scripts benchmarks && $(BIN)/ruff format --check src tests examples scripts benchmarks

setup: $(STAMP)

mini: $(STAMP)  ## train the shipped model again from nothing (hours on two cores; the same command goes on after a stop)
	sh scripts/system_packages.sh training
	$(BIN)/varco-vision train recipes/mini.yaml --out runs/mini --resume
	$(MAKE) ship RUN=runs/mini

ship: $(STAMP)  ## put the last stage of $(RUN) into the package: weights, calibration, scores, tables, pictures
	$(BIN)/python scripts/ship_default.py $(RUN)/preference/model
	$(BIN)/varco-vision eval calibrate
	$(BIN)/python scripts/measure_default.py
	$(BIN)/python scripts/measure_sets.py
	$(BIN)/python scripts/measure_broad.py
	$(BIN)/varco-vision eval kept $(RUN) --json > docs/mini-kept.json.new && mv docs/mini-kept.json.new docs/mini-kept.json
	$(BIN)/python scripts/card_pictures.py
	$(BIN)/python scripts/score_tables.py

check-mini: $(STAMP)  ## the shipped model against its card: strict loading, answers of the READMEs, scores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or not slow" tests/test_default_model.py

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
