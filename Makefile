# make run        install what is missing, get the built-in model, serve on 127.0.0.1:8000, show the first answer
# make test       every test, those on a real vLLM last          make test-fast    without a real vLLM
# make test-slow   ten times the sizes, and soaks, some of them on a real vLLM
# make test-scale  a real Ray Serve LLM with the CPU engine, attached as a pool (12 GB of memory, minutes of all cores)
# make test-clients  real clients (openai, anthropic, pydantic-ai, the AI SDK, Claude Code, Codex, …), installed at pinned versions
# make test-browser  the dashboard in a real Chromium (as root it installs Debian's); make test-browser-full: every page, scheme and state, and soaks
# make ui         checks the dashboard's own modules and builds its vendored files again (needs node and npm)
# make test-packaging  the wheel, built and installed; the container image, built and run (as root; needs Debian's mmdebstrap);
#                alert rules and dashboards, on Debian's Prometheus
# make check      format, lint, types, architecture              make format       what check would complain about
# make docs       the site of the documentation, into build/site
# make bench      gateway cost and added latency                 make lock         write scripts/locks again
# make install    the environments only                          make clean        remove .venv and caches of this checkout
#
# PYTHON=/path/to/python   the Python to build with              ENGINE=auto|cpu|cuda|none   which vLLM; none: [engine] url is set
# ARGS="…"                 handed to hearth serve, pytest or the benchmarks
#
# Nothing is installed twice: locks are compared with what is there. Several makes at once wait for each other.

SHELL := /bin/sh
# What the settings in the environment ask for already.
ENGINE ?= $(if $(HEARTH_ENGINE__URL),none,$(or $(HEARTH_ENGINE__DEVICE),auto))
ARGS ?=
VENV := .venv/bin
PY = python=$$(local_models/installer/find-python) && "$$python"

# Prerequisites in the order written, also under -j.
.NOTPARALLEL:
.PHONY: run install core dev engine test test-fast test-nights test-slow test-clients test-clients-ci test-packaging test-engine test-scale test-browser test-browser-full ui check format docs bench audit lock clean

run: core engine
	@exec $(VENV)/hearth serve --first-answer $(ARGS)

install: core engine

core:
	@$(PY) -m scripts.install core

dev:
	@$(PY) -m scripts.install dev

engine: core
	@$(VENV)/hearth engine install --device $(ENGINE)

test: test-fast test-nights test-clients-ci test-browser test-engine

# The architecture tests are in `make check`.
test-fast: dev
	@$(VENV)/python -m pytest -n auto --dist loadfile --ignore tests/architecture -m "not engine and not clients and not slow and not packaging and not browser and not scale" $(ARGS)

# Sixty nights of golden sets over HTTP: a minute.
test-nights: dev
	@$(VENV)/python -m pytest --timeout 300 tests/runtime/quality/test_nights.py::test_sixty_nights $(ARGS)

# Big sizes and soaks: before a release, not on every change.
test-slow: dev engine
	@$(VENV)/python -m pytest -n auto --dist load --timeout 900 -m "slow and not engine and not clients and not packaging and not browser and not scale" $(ARGS)
	@$(VENV)/python -m scripts.prometheus
	@$(VENV)/python -m pytest -m "slow and engine" $(ARGS)

# Skipped in words where Ray or the CPU engine is not installed.
test-scale: dev
	@$(VENV)/python -m scripts.scale
	@$(VENV)/python -m pytest -m scale --timeout 900 $(ARGS)

test-clients: dev
	@$(VENV)/python -m scripts.clients
	@$(VENV)/python -m pytest -m clients --timeout 360 $(ARGS)

# The three most telling of them.
test-clients-ci: dev
	@$(VENV)/python -m scripts.clients --ci
	@$(VENV)/python -m pytest -m clients_ci --timeout 360 $(ARGS)

# What users install. Skipped in words where the machine cannot build an image.
test-packaging: dev
	@$(VENV)/python -m scripts.prometheus
	@$(VENV)/python -m pytest -n 2 --dist loadfile -m packaging $(ARGS)

# Skipped in words where there is no Chromium; in CI that fails.
test-browser: dev
	@$(VENV)/python -m scripts.browser
	@$(VENV)/python -m pytest -n 2 --dist load -m "browser and not slow" $(ARGS)

test-browser-full: dev
	@$(VENV)/python -m scripts.browser
	@$(VENV)/python -m pytest -n 2 --dist load -m browser $(ARGS)

ui: dev
	@$(VENV)/python -m scripts.ui

# One at a time on purpose: each starts a vLLM of its own and measures it.
test-engine: dev engine
	@$(VENV)/python -m pytest -m "engine and not slow" $(ARGS)

# All four are run, so that one run shows everything.
check: dev
	@code=0; \
	$(VENV)/ruff format --check . || code=1; \
	$(VENV)/ruff check . || code=1; \
	$(VENV)/mypy || code=1; \
	$(VENV)/python -m pytest -q tests/architecture || code=1; \
	$(VENV)/python -m scripts.ui || code=1; \
	exit $$code

format: dev
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .

docs: dev
	@$(VENV)/python -m scripts.docs
	@$(VENV)/python -m scripts.docs site

bench: dev engine
	@$(VENV)/python -m scripts.bench $(ARGS)

# Known vulnerabilities in what is pinned. Needs the network.
audit: dev
	@$(VENV)/python -m scripts.audit

lock:
	@$(PY) -m scripts.lock $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@echo "The engine environments and models stay in $${XDG_CACHE_HOME:-$$HOME/.cache}/hearth: other checkouts may use them."
