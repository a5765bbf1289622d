# make run: everything on this machine, one process. make test: all tests on real services. make help: the rest.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= $(or $(API_PORT),8000)
VENV := .venv
PY := $(VENV)/bin/python
FAST := tests/tasks_app tests/notifications tests/taskmanager tests/test_architecture.py
# What fits on this machine: a test waits more than it computes, and each worker has servers of its own.
WORKERS ?= 3
MARKS ?= not services
PIP_FLAGS := --quiet --disable-pip-version-check --require-hashes

.PHONY: run dev test test-fast fuzz chaos lint format install lock secrets help
.DEFAULT_GOAL := help

run: $(VENV)/.base  ## start the server on http://127.0.0.1:8000 (PORT=, HOST=, DATA_DIR= change that)
	@HOST=$(HOST) PORT=$(PORT) API_PORT= exec $(PY) manage.py standalone

dev: $(VENV)/.dev  ## like run, and starts again whenever the code changes
	@HOST=$(HOST) PORT=$(PORT) API_PORT= DEBUG=on exec $(VENV)/bin/watchfiles --filter python --sigint-timeout 4 \
		"$(PY) manage.py standalone" taskmanager tasks_app notifications

test: $(VENV)/.dev  ## all tests; installs and starts PostgreSQL, RabbitMQ, Redis and chromium for them where needed
	$(PY) -m tests.services.packages
	$(PY) -m pytest -p tests.plugin -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 10 $(ARGS)

test-fast: $(VENV)/.dev  ## the tests that need no service
	$(PY) -m pytest -m "$(MARKS)" $(or $(ARGS),-n 2 --dist loadfile $(FAST))

fuzz: $(VENV)/.dev  ## thousands of random requests against the API's own description (EXAMPLES=, SEED=)
	$(PY) -m tests.services.packages
	$(PY) -m tests.fuzz --examples $(or $(EXAMPLES),100) --seed $(or $(SEED),1)

chaos: $(VENV)/.dev  ## kill, freeze, cut off and fill up everything under load, and look whether anything was lost (CASES=, SEED=)
	$(PY) -m tests.services.packages
	$(PY) -m tests.chaos --seed $(or $(SEED),1) $(CASES)

lint: $(VENV)/.dev  ## style, types, migrations, production settings
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy .
	$(PY) manage.py makemigrations --check --dry-run
	.ci/check-deploy

format: $(VENV)/.dev  ## put the code into shape
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

install: $(VENV)/.base  ## only create .venv with the pinned packages

lock: $(VENV)/.dev  ## compile requirements/*.in to exact, hashed versions
	cd requirements && for name in base flower dev; do ../$(VENV)/bin/uv pip compile --quiet --universal --generate-hashes \
		--python-version 3.10 --no-emit-index-url --custom-compile-command "make lock" $$name.in -o $$name.txt; done

secrets:  ## write .env with new passwords for compose.yml (ANONYMOUS=on: the API needs no token)
	@ANONYMOUS=$(or $(ANONYMOUS),off) deploy/secrets

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; this is %s. Name another: make run PYTHON=python3.12" % sys.version.split()[0])'
	@$(PYTHON) -m venv $(VENV) || { echo "Could not create $(VENV). On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.base: $(VENV)/.created requirements/base.txt
	@echo "Installing packages into $(VENV) …"
	@$(PY) -m pip install $(PIP_FLAGS) -r requirements/base.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.base requirements/dev.txt
	@echo "Installing packages for tests into $(VENV) …"
	@$(PY) -m pip install $(PIP_FLAGS) -r requirements/dev.txt
	@touch $@
