# What one does with this project; `make help` lists it. Everything is installed into .venv, from lock files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TWO_AT_A_TIME := --numprocesses 2 --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help install run test coverage test-slow soak drills deploy-check sbom lint format bench bench-quick load-test dashboard-preview docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/run.installed ## install the service into .venv, and nothing that only tests need

run: $(VENV)/run.installed ## serve the catalog on http://127.0.0.1:3005, on an embedded PostgreSQL
	@exec $(BIN)/toolcatalog serve

test: $(VENV)/dev.installed ## run the tests against a real PostgreSQL
	$(BIN)/python -m pytest $(TWO_AT_A_TIME) -m "not slow"

coverage: $(VENV)/dev.installed ## run the same tests, and see that they reach 95 % of the lines (takes half as long again)
	$(BIN)/python -m pytest $(TWO_AT_A_TIME) --cov --cov-report=term -m "not slow"

test-slow: $(VENV)/dev.installed ## run the tests that take long or need more programs
	$(BIN)/python -m pytest $(TWO_AT_A_TIME) -m "slow and unhurried" -o faulthandler_timeout=600
	$(BIN)/python -m pytest -s -m "slow and not unhurried" -o faulthandler_timeout=600

soak: $(VENV)/dev.installed ## load two hosts for ten minutes while workers, clock, disk and database break
	$(BIN)/python -m tests.deploy.soak

drills: $(VENV)/run.installed ## rehearse the three disasters: service lost, database corrupted, failover
	$(BIN)/python -m scripts.drills $(DRILL)

deploy-check: $(VENV)/dev.installed ## check deploy/ with supervisord, systemd-analyze, hadolint, docker-compose and nginx
	$(BIN)/python -m pytest -s -m slow tests/deploy/test_files.py tests/deploy/test_supervisor.py

lint: $(VENV)/dev.installed ## check style, types, layers and the catalog's definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/toolcatalog validate --strict catalog
	@# Low findings are the S rules of ruff too, where each exception has its reason.
	$(BIN)/bandit --quiet --recursive --severity-level medium toolcatalog migrations deploy wsgi.py
	@# Where PyPI's advisories cannot be reached it says so, and goes on.
	@$(BIN)/pip-audit --require-hashes --disable-pip --progress-spinner off --requirement requirements.txt \
		>$(VENV)/audit.txt 2>&1 || { cat $(VENV)/audit.txt; exit 1; }
	@echo "pip-audit: $$(head -1 $(VENV)/audit.txt); not looked up: $$(grep -c 'could not be audited' $(VENV)/audit.txt)"

format: $(VENV)/dev.installed ## put the code into its one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/dev.installed ## measure the service against bare gunicorn, into docs/performance.md (needs wrk)
	$(BIN)/python -m tests.bench

bench-quick: $(VENV)/dev.installed ## see that cached answers did not become slower (needs wrk)
	$(BIN)/python -m tests.bench --quick

load-test: $(VENV)/dev.installed ## load the service on http://127.0.0.1:3005 for a minute, and score it
	@$(BIN)/toolcatalog loadtest $(LOAD)

dashboard-preview: $(VENV)/dev.installed ## draw the Grafana dashboard into docs/images (needs Debian's prometheus)
	$(BIN)/python -m tests.monitoring.preview

docs: $(VENV)/dev.installed ## write what docs/ says of the code, and build the site into site/
	$(BIN)/python -m docs.generate
	@# The theme says where it will be kept on; docs/decisions/documentation-site.md has it.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "The site is in site/. To search it, serve it: $(BIN)/python -m http.server --directory site 8000"

sbom: $(VENV)/dev.installed ## write what the service is made of, as CycloneDX, into sbom.cdx.json
	$(BIN)/cyclonedx-py requirements requirements.txt --output-reproducible --validate --output-file sbom.cdx.json

lock: $(VENV)/dev.installed ## write the lock files anew, from setup.cfg
	$(BIN)/uv pip compile setup.cfg --extra build $(LOCK) --output-file requirements.txt
	$(BIN)/uv pip compile setup.cfg --extra build --extra loadtest --extra docs --extra test --extra dev $(LOCK) \
		--constraints requirements.txt --output-file requirements-dev.txt

# With the extras: without, pip takes a newer release for one that has them, and then misses its hash.
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --upgrade \
	--custom-compile-command "make lock"

clean: ## remove what was installed and cached; the database in var/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* *.egg-info site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/run.installed: requirements.txt setup.cfg | $(VENV)/bin/pip
	@echo "Installing into $(VENV) ..."
	@$(PIP) install --require-hashes --requirement requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.installed: requirements-dev.txt setup.cfg | $(VENV)/bin/pip
	@echo "Installing into $(VENV), with what tests and checks need ..."
	@$(PIP) install --require-hashes --requirement requirements-dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/run.installed

# Debian keeps the module venv in a package of its own. Root can have it installed, others are told.
$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; this is $$($(PYTHON) --version). Set PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -qq -y python3-venv; \
	} || { echo "$(PYTHON) has no venv. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
