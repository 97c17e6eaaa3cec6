# Everything runs in .venv, which is made at the first use and again when a locked version changes.
# Needs make and Python 3.11 or newer; nothing else, and no PostgreSQL.

SUITABLE = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$python -c '$(SUITABLE)' 2>/dev/null && echo $$python && break; done)
PIP = .venv/bin/python -m pip install -qq --disable-pip-version-check
INSTALLED = .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo test chaos check bench fmt lock clean python

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(INSTALLED) ## See it work, with made-up people and its own database (PEOPLE=10000 FRESH=1 ONCE=1)
	@exec .venv/bin/notifier demo $(if $(PEOPLE),--people $(PEOPLE)) $(if $(FRESH),--fresh) $(if $(ONCE),--once)

test: $(INSTALLED) ## Run the tests, but for those that take long (ALL=1 ARGS="-k embedded -n 0")
	@exec .venv/bin/pytest -n auto $(if $(ALL),,-m "not long") $(ARGS)

chaos: $(INSTALLED) ## Tell 50,000 people while workers, PostgreSQL and the relay are killed (minutes)
	@exec env NOTIFIER_TEST_CHAOS=full .venv/bin/pytest --durations=1 $(ARGS) tests/processes/test_chaos.py

check: $(INSTALLED) ## Lint, formatting, types, and who may import whom
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: $(INSTALLED) ## Measure (ONLY=delivery)
	@exec .venv/bin/python -m benchmarks $(ONLY)

fmt: $(INSTALLED) ## Format, and mend what ruff can mend by itself
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# uv writes no package index's address with --no-emit-index-url, as a uv.lock would. Versions that still fit stay;
# UPGRADE=1 takes the newest. The second file is the first without what only development needs.
COMPILE = pip compile pyproject.toml --quiet --universal --python-version 3.11 --extra fast --extra demo \
	--generate-hashes --no-emit-index-url --no-header --no-annotate

lock: python ## Write both requirements.txt anew from pyproject.toml (UPGRADE=1)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -m venv "$$folder" && "$$folder/bin/pip" install -qq --disable-pip-version-check uv && \
	"$$folder/bin/uv" $(COMPILE) --group dev $(if $(UPGRADE),--upgrade) -o requirements.txt && \
	"$$folder/bin/uv" $(COMPILE) --constraint requirements.txt $(if $(UPGRADE),--upgrade) -o deploy/requirements.txt

clean: ## Remove .venv, the demo's data and all caches
	rm -rf .venv .demo dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@$(or $(PYTHON),false) -c '$(SUITABLE)' 2>/dev/null || { \
		echo "This needs Python 3.11 or newer with its venv module. Install one (Debian, Ubuntu: apt install python3-venv)," >&2; \
		echo "or name yours: make PYTHON=/path/to/python3.12 …" >&2; exit 1; }

# The second line also mends a .venv that was cut short or whose Python is gone.
$(INSTALLED): requirements.txt pyproject.toml
	@$(MAKE) --no-print-directory python
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || { echo "Making .venv (once; a minute or so)" && $(PYTHON) -m venv --clear .venv; }
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@
