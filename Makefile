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
CONTRAST = configs/pixel_contrast/pixel-contrast_fcn-mnv2
DEMO = $(CONTRAST)$(if $(DATA),_1xb8-1500it_camvid,_1xb4-600it_street-scenes).py
# Settings of the config, in the form of --cfg-options.
DEMO_SETTINGS = $(if $(DATA),$(foreach split,train val test,\
    '$(split)_dataloader.dataset.data_root=$(DATA)')) \
    $(if $(WEIGHTS),model.backbone.init_cfg.type=Pretrained \
    'model.backbone.init_cfg.checkpoint=$(WEIGHTS)') $(DEMO_ARGS)
DEMO_OUT ?= demo_output
STICKS = configs/discriminative/discriminative_unet_1xb4-2000it_sticks
OUT ?= demo_output/instances
CAPTIONS = configs/studies/shapes_captions.py
TEXT_ARGS ?= --seeds 0

.PHONY: help venv demo demo-instances demo-text test lint docs check clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo   train, test and picture a small pixel-contrast model'
	@echo '            DATA=path/to/camvid  use real data, not the generator'
	@echo '            WEIGHTS=file.pth     start from this backbone'
	@echo '            DEMO_ARGS="KEY=VALUE ..."  settings of the config'
	@echo '            DEMO_OUT=folder      for checkpoints and pictures'
	@echo 'make demo-instances   learn eight scenes of sticks by heart, then'
	@echo '            train on others and test on scenes that were not seen'
	@echo '            OUT=folder           for checkpoints and pictures'
	@echo 'make demo-text   learn words for regions from captions of generated'
	@echo '            shapes, beside what contrast of whole images learns'
	@echo '            TEXT_ARGS="--seeds 0 1 2"  options of the study'
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
	$(TRAIN) $(DEMO) --work-dir '$(DEMO_OUT)' \
	    $(if $(strip $(DEMO_SETTINGS)),--cfg-options $(DEMO_SETTINGS))
	$(TEST) $(DEMO) "$$(cat '$(DEMO_OUT)/last_checkpoint')" \
	    --work-dir '$(DEMO_OUT)/test' --cfg-options $(DEMO_SETTINGS) \
	    'visualizer.save_dir=$(DEMO_OUT)'
	@echo 'wrote $(DEMO_OUT)/vis_data/vis_image and $(DEMO_OUT)/test'

demo-instances: venv
	$(TRAIN) $(subst 2000it_sticks,500it_sticks-memorised,$(STICKS)).py \
	    --work-dir '$(OUT)/memorised'
	$(TRAIN) $(STICKS).py --work-dir '$(OUT)/sticks'
	$(TEST) $(STICKS).py '$(OUT)/sticks/iter_2000.pth' \
	    --work-dir '$(OUT)/test'

demo-text: venv
	$(BIN)/python tools/study.py run $(CAPTIONS) $(TEXT_ARGS)
	$(BIN)/python tools/study.py report $(CAPTIONS)

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
