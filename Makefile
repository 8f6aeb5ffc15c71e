# `make` alone lists the targets.

ROOT := $(CURDIR)/.hybridal
BIN := .venv/bin
# Further arguments of the demo, e.g. make demo ARGS="rounds=2 run=runs/short"
ARGS ?=
# Real videos for the tests that are marked `data`
HYBRIDAL_DATA ?= $(abspath $(wildcard ../shared/data))

# Label Studio, in an environment of its own (1 GB); or name the executable of one that is there
LABEL_STUDIO := $(CURDIR)/.label-studio
HYBRIDAL_LABEL_STUDIO ?= $(LABEL_STUDIO)/venv/bin/label-studio
LABEL_STUDIO_PORT ?= 8080

.PHONY: help venv demo compare test lint ui stop clean label-studio label-studio-stop demo-people

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-19s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: .venv/installed  ## Create .venv and install the project with the tools for development

.venv/installed: pyproject.toml constraints.txt
	@echo "installing into .venv: about 2 minutes, 2 GB"
	python3 -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: venv  ## Run the loop as a Ray job on this machine; ARGS="key=value …" overrides the configuration
	$(BIN)/python jobs/demo.py --config configs/demo.yaml --root $(ROOT) $(ARGS)
	@echo "demo: make ui shows the rounds in MLflow"

compare: venv  ## Compare four strategies on a demo pool, three seeds, in 50 minutes on 2 cores; again to continue
	$(BIN)/hybridal compare configs/compare_demo.yaml root=$(ROOT) seeds=3 \
	  "only=[claus, random, claus-paper, equidistant]" $(ARGS)

ui: venv  ## Open the demo's runs in MLflow on http://127.0.0.1:5000
	mkdir -p $(ROOT)
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow server --workers 1 \
	  --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///$(ROOT)/mlflow.db

$(LABEL_STUDIO)/venv/bin/label-studio:
	@echo "installing Label Studio into .label-studio/venv: about 4 minutes, 1 GB"
	python3 -m venv $(LABEL_STUDIO)/venv
	$(LABEL_STUDIO)/venv/bin/pip install -q label-studio==1.23.2

.venv/label-studio: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e '.[label-studio]'
	touch $@

label-studio: .venv/label-studio $(HYBRIDAL_LABEL_STUDIO)  ## Start a Label Studio server on 127.0.0.1, for development
	$(BIN)/python jobs/label_studio.py start --home $(LABEL_STUDIO) --document-root $(ROOT) \
	  --executable $(HYBRIDAL_LABEL_STUDIO) --port $(LABEL_STUDIO_PORT)

label-studio-stop:  ## End that server
	$(BIN)/python jobs/label_studio.py stop --home $(LABEL_STUDIO)

demo-people: .venv/label-studio $(HYBRIDAL_LABEL_STUDIO)  ## Three rounds answered in Label Studio by a script
	$(BIN)/python jobs/demo_people.py --root $(ROOT) --executable $(HYBRIDAL_LABEL_STUDIO) --port $(LABEL_STUDIO_PORT) $(ARGS)

test: venv  ## Run the tests; HYBRIDAL_DATA=DIR names the real videos (../shared/data where that exists)
	OMP_NUM_THREADS=1 $(if $(HYBRIDAL_DATA),HYBRIDAL_DATA=$(HYBRIDAL_DATA)) $(BIN)/python -m pytest

lint: venv  ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

stop:  ## End the Ray head of a demo that was killed
	test ! -f $(ROOT)/ray-head.json || $(BIN)/python jobs/demo.py --root $(ROOT) --stop

clean: stop  ## Delete the demo's pool and runs, caches and build output; .venv stays
	rm -rf $(ROOT) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
