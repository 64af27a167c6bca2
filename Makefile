# Thin names for what devstack, pytest and the tools do. PYTHON is the interpreter the virtual environment is made with.
PYTHON ?= python3
BIN := .venv/bin
LOCK := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-package thumbmill-core \
	--custom-compile-command "make lock"
MINUTES := 2
EVENTS := 50000
# Test files are dealt out to so many processes, each with a system of its own. The slow ones come first.
WORKERS := 2
PROGRAMS := gateway thumbnailer status-tracker cli

.DEFAULT_GOAL := help
.PHONY: help venv up down clean status smoke test test-unit test-long test-compose bench bench-imaging \
	bench-reconcile bench-backlog bench-overload drill corpora sbom release docs lint lock

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: .venv/.made  ## make .venv from the locked requirements

# Pip runs again only when a lock, a package's own pyproject.toml or what is compiled has changed.
.venv/.made: requirements/dev.txt $(wildcard */pyproject.toml */hatch_build.py thumbnailer/src/thumbmill/thumbnailer/imaging/codecs/*.c)
	@$(PYTHON) -m devstack venv
	@touch $@

up: venv  ## install what is missing, start everything, stay in the foreground
	@$(BIN)/python -m devstack up

down: venv  ## stop a running `make up` from another terminal
	@$(BIN)/python -m devstack down

status: venv  ## say what is running
	@$(BIN)/python -m devstack status

smoke: venv  ## send a sample picture through a running system
	@$(BIN)/python -m devstack smoke

clean: venv  ## remove .local with all data
	@$(BIN)/python -m devstack clean

test: venv  ## set up and run every test, beside a running `make up` if there is one
	@$(BIN)/python -m devstack setup
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-unit: venv  ## run the tests that need no server (under a minute)
	$(BIN)/pytest --quiet --numprocesses $(WORKERS) tests/unit

test-long: venv  ## run the tests that take minutes each, on real servers
	@$(BIN)/python -m devstack setup
	$(BIN)/pytest --long -m long --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-compose: venv  ## bring compose.yaml up on whatever Docker there is, and take it down
	$(BIN)/pytest tests/compose -m compose -v -s

bench: venv  ## measure, and print a table
	$(BIN)/python -m benchmarks

bench-reconcile: venv  ## measure what comparing the buckets with the rows costs, and print a table
	$(BIN)/python -m benchmarks.reconcile

bench-backlog: venv  ## measure whether a queue of 50,000 is worse than a short one, and print tables (EVENTS=50000)
	$(BIN)/python -m benchmarks.backlog --events $(EVENTS)

bench-overload: venv  ## measure what 500 uploads at once and 200 pollers get, and print a table
	$(BIN)/python -m benchmarks.overload

bench-imaging: venv  ## measure our imaging beside sharp and libvips, and print a table
	$(BIN)/python -m benchmarks.imaging

drill: venv  ## break a system of its own while it is used, and count what was lost
	$(BIN)/python -m chaos --minutes $(MINUTES) $(ARGS)

corpora: venv  ## try the decoder on public and on mutated pictures, and write docs/formats.md
	$(BIN)/python -m tests.corpora

sbom:  ## write an SBOM of each image's Python packages to .local/sbom (some minutes)
	$(PYTHON) infra/supply/sbom.py

release: venv  ## build wheels and sdists into dist, and try each program from its wheel
	$(BIN)/python infra/supply/release.py

docs: venv  ## write the generated pages of docs/reference
	$(BIN)/python docs/generate.py

lint: venv  ## ruff, mypy, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:  ## resolve requirements/*.txt anew, from *.in and the packages' pyproject.toml (needs uv)
	$(LOCK) requirements/dev.in core/pyproject.toml $(PROGRAMS:=/pyproject.toml) --output-file requirements/dev.txt
	$(LOCK) requirements/build.in --constraint requirements/dev.txt --output-file requirements/build.txt
	$(LOCK) requirements/sbom.in --output-file requirements/sbom.txt
	for program in $(PROGRAMS); do \
		$(LOCK) $$program/pyproject.toml core/pyproject.toml --constraint requirements/dev.txt \
			--output-file requirements/$$program.txt || exit 1; \
	done
