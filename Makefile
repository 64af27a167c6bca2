# Short names for what devstack, pytest and the tools do. PYTHON is the interpreter of the virtual environment.
PYTHON ?= python3
BIN := .venv/bin
LOCK := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-package thumbmill-core \
	--custom-compile-command "make lock"
MINUTES := 2
SECONDS := 60
EVENTS := 50000
# The number of processes among which test files are distributed, each with a system of its own; slow files first.
# Most tests wait for servers: two of them keep two cores busy for two thirds of the time.
WORKERS := 3
PROGRAMS := gateway thumbnailer status-tracker cli

.DEFAULT_GOAL := help
.PHONY: help venv up down clean status smoke test test-unit test-long test-compose bench bench-imaging \
	bench-reconcile bench-tracker bench-backlog bench-overload bench-streams drill fuzz corpora sbom release web \
	web-check screenshots docs lint lock

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: .venv/.made  ## make .venv from the locked requirements

# Pip runs again only after a change of a lock, of a package's pyproject.toml or of compiled code.
.venv/.made: requirements/dev.txt $(wildcard */pyproject.toml */hatch_build.py thumbnailer/src/thumbmill/thumbnailer/imaging/codecs/*.c)
	@$(PYTHON) -m devstack venv
	@touch $@

up: venv  ## install what is missing, start everything, stay in the foreground
	@$(BIN)/python -m devstack up

down: venv  ## stop a running `make up` from another terminal
	@$(BIN)/python -m devstack down

status: venv  ## show what is running
	@$(BIN)/python -m devstack status

smoke: venv  ## process a sample image on a running system
	@$(BIN)/python -m devstack smoke

clean: venv  ## remove .local with all data
	@$(BIN)/python -m devstack clean

test: venv  ## run every test on real servers, also next to a running `make up` (some 20 minutes)
	@$(BIN)/python -m devstack setup
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-unit: venv  ## run the quick tests, which need no server (under a minute)
	$(BIN)/pytest --quiet -m "not slow" --numprocesses logical tests/unit

test-long: venv  ## run the tests that take minutes each, on real servers
	@$(BIN)/python -m devstack setup
	$(BIN)/pytest --long -m long --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-compose: venv  ## test compose.yaml and compose.prod.yaml on the local Docker
	$(BIN)/pytest tests/compose -m compose -v -s

bench: venv  ## measure throughput and latency, and print a table
	$(BIN)/python -m benchmarks

bench-reconcile: venv  ## measure the cost of reconciliation, and print a table
	$(BIN)/python -m benchmarks.reconcile

bench-backlog: venv  ## compare a queue of 50,000 with a short one, and print tables (EVENTS=50000)
	$(BIN)/python -m benchmarks.backlog --events $(EVENTS)

bench-overload: venv  ## measure 500 uploads at once with 200 polling clients, and print a table
	$(BIN)/python -m benchmarks.overload

bench-tracker: venv  ## measure what an event costs the status tracker, and print a table
	$(BIN)/python -m benchmarks.tracker

bench-streams: venv  ## measure 1,000 open streams and 150 images/s, and print a table
	$(BIN)/python -m benchmarks.streams

bench-imaging: venv  ## compare the imaging with sharp and libvips, and print a table
	$(BIN)/python -m benchmarks.imaging

drill: venv  ## inject faults into a system of its own under load, and count what was lost
	$(BIN)/python -m chaos --minutes $(MINUTES) $(ARGS)

fuzz: venv  ## decode mutated JPEGs with a sanitized build of the JPEG decoder (SECONDS=60)
	$(BIN)/python thumbnailer/fuzz/dc_only.py --seconds $(SECONDS)

corpora: venv  ## decode public and mutated images, and write docs/formats.md
	$(BIN)/python -m tests.corpora

sbom:  ## write an SBOM of each image's Python packages to .local/sbom (some minutes)
	$(PYTHON) infra/supply/sbom.py

release: web  ## build wheels and sdists into dist, and try each program from its wheel
	$(BIN)/python infra/supply/release.py

web: venv  ## build the web console if its sources changed
	@$(BIN)/python -m devstack web

web-check: venv  ## check the types of the web console and run its unit tests
	@$(BIN)/python -m devstack web --check

screenshots: web  ## write docs/screenshots, from a system of its own (some minutes)
	$(BIN)/python -m tests.browser.screenshots

docs: venv  ## write the generated pages of docs/reference
	$(BIN)/python docs/generate.py

lint: venv web-check  ## ruff, mypy, import-linter; types and unit tests of the web console
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:  ## resolve requirements/*.txt again from *.in and the packages' pyproject.toml (needs uv)
	$(LOCK) requirements/dev.in core/pyproject.toml $(PROGRAMS:=/pyproject.toml) --output-file requirements/dev.txt
	$(LOCK) requirements/build.in --constraint requirements/dev.txt --output-file requirements/build.txt
	$(LOCK) requirements/sbom.in --output-file requirements/sbom.txt
	for program in $(PROGRAMS); do \
		$(LOCK) $$program/pyproject.toml core/pyproject.toml --constraint requirements/dev.txt \
			--output-file requirements/$$program.txt || exit 1; \
	done
