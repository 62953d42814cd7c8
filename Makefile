# Everything below works from a fresh clone with Python 3.11 and a package
# index. See `make help`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
OPS ?=
DATA ?=
WEIGHTS ?=
DEMO_ARGS ?=
PYTEST_ARGS ?=
# An absolute VENV stays as it is, a relative one lies in this folder.
BIN = $(abspath $(VENV))/bin
# A PYTHONPATH would let packages of another environment in.
unexport PYTHONPATH

# Threads that wait without spinning: on busy cores a step is twice as fast.
TRAIN = OMP_WAIT_POLICY=PASSIVE $(BIN)/python tools/train.py
TEST = OMP_WAIT_POLICY=PASSIVE $(BIN)/python tools/test.py
STICKS = configs/discriminative/discriminative_unet_1xb4-2000it_sticks
OUT ?= demo_output/instances
TEXT_OUT ?= demo_output/text
TEXT_ARGS ?=

.PHONY: help venv demo demo-instances demo-text test lint docs check clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo   train, test and picture a small pixel-contrast model'
	@echo '            DATA=path/to/camvid  use real data, not the generator'
	@echo '            WEIGHTS=file.pth     start from this backbone'
	@echo '            DEMO_ARGS="..."      further options of the demo'
	@echo 'make demo-instances   learn eight scenes of sticks by heart, then'
	@echo '            train on others and test on scenes that were not seen'
	@echo '            OUT=folder           for checkpoints and pictures'
	@echo 'make demo-text   learn words for regions from captions of generated'
	@echo '            shapes, beside what contrast of whole images learns'
	@echo '            TEXT_OUT=folder  for checkpoints and pictures'
	@echo '            TEXT_ARGS="--seeds 0 1 2"  further options of it'
	@echo 'make test   run the test suite'
	@echo '            PYTEST_ARGS="-k bank -x"  further options of pytest'
	@echo 'make venv   only create the environment that both use'
	@echo 'make check  say what is installed and what is wrong with it'
	@echo 'make lint   run flake8'
	@echo 'make docs   build the documentation site in build/docs; warnings'
	@echo '            are errors'
	@echo 'make clean  remove the environment and what was built'
	@echo 'for all of them:'
	@echo '            OPS=1  mmcv with compiled operators, from a wheel found'
	@echo '                   through PIP_FIND_LINKS or else from source'
	@echo '            OPS=0  mmcv without operators (no compiler needed)'
	@echo '            VENV=folder PYTHON=python3.11 TORCH=torch==2.13.0'

venv:
	@test -n '$(PYTHON)' || { echo 'no python3 found: set PYTHON=' >&2; exit 1; }
	@$(PYTHON) tools/setup_env.py --venv '$(VENV)' --ops '$(OPS)'

demo: venv
	$(BIN)/python demo/run_demo.py \
	    $(if $(DATA),--data '$(DATA)') \
	    $(if $(WEIGHTS),--weights '$(WEIGHTS)') $(DEMO_ARGS)

demo-instances: venv
	$(TRAIN) $(subst 2000it_sticks,500it_sticks-memorised,$(STICKS)).py \
	    --work-dir '$(OUT)/memorised'
	$(TRAIN) $(STICKS).py --work-dir '$(OUT)/sticks'
	$(TEST) $(STICKS).py '$(OUT)/sticks/iter_2000.pth' \
	    --work-dir '$(OUT)/test'

demo-text: venv
	$(BIN)/python demo/run_text_demo.py --out '$(TEXT_OUT)' $(TEXT_ARGS)

test: venv
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: venv
	$(BIN)/python -m mmpixsort.check

lint: venv
	@$(BIN)/python -m flake8 --version >/dev/null 2>&1 \
	    || $(BIN)/python -m pip install -q flake8
	$(BIN)/python -m flake8 mmpixsort tools tests configs demo benchmarks docs setup.py

docs: venv
	@$(BIN)/python -c 'import furo, myst_parser, sphinx' 2>/dev/null \
	    || $(BIN)/python -m pip install -q -e '.[docs]'
	$(BIN)/python -m sphinx -q -W --keep-going -c docs . build/docs
	@echo 'wrote build/docs/index.html'

clean:
	rm -rf '$(VENV)' build dist mmpixsort.egg-info mmpixsort/.mim .pytest_cache
	find mmpixsort tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
