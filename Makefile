# Inkpush: `make demo` shows it working, `make test` checks everything.
# Both build .venv with what they need; they ask for Python 3.11 or newer, and nothing else.

VENV := .venv
BIN := $(VENV)/bin
# the first interpreter that is new enough; `make PYTHON=/path/to/python test` chooses another
PYTHON = $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null 2>&1 \
	&& $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
LOCKED := deploy/constraints.txt
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# suites that wait more than they compute, and may do so beside each other; acceptance comes after
# them, for its tests start processes of their own
BESIDE := tests/unit tests/properties tests/conformance tests/integration tests/simulation
JOBS ?= 4
# acceptance tests mostly wait for processes, clocks and leases
WAITING_JOBS ?= 5
# histories that `make test` goes through: about a minute on two cores, in
# which all is seen that must be
HISTORIES ?= 700
NATIVE_HISTORIES ?= 200

# What failed beside others runs once more, alone. That is for machines with more to do than they can:
# whoever reads it mends the test that passed only so.
once_more = || { [ $$? -eq 1 ] && echo "Failed beside others; once more, alone:" \
	&& $(BIN)/pytest --last-failed --last-failed-no-failures none $(1); }

.DEFAULT_GOAL := help
.PHONY: help demo test test-long check simulate bench soak .bench-tools format lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.runtime  ## see it work: sandbox, gateway and simulated phones; no account, no network
	@$(BIN)/inkpush demo --once

test: check $(VENV)/.servers  ## everything that CI runs: check, then all suites, the killed processes last
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile $(BESIDE) $(call once_more,$(BESIDE))
	$(BIN)/python -m tests.simulation --first 1000 --seeds $(HISTORIES) --strict
	$(BIN)/python -m tests.simulation --tier native --seeds $(NATIVE_HISTORIES)
	$(BIN)/pytest --numprocesses $(WAITING_JOBS) --dist worksteal tests/acceptance $(call once_more,tests/acceptance)

test-long: check $(VENV)/.servers  ## test with more of all that has a number: some hours
	WHY_DELIVERIES=1000000 CANCEL_PUSHES=10000 SUPPRESS_PUSHES=10000 LEARNING_EVENTS=10000 EFFECT_SEEDS=1000 EFFECT_PEOPLE=300,3000 $(BIN)/pytest --hypothesis-profile long \
		--numprocesses $(JOBS) --dist loadfile \
		$(filter-out tests/simulation,$(BESIDE))
	DEFECT_ROUNDS=3 $(BIN)/pytest --numprocesses $(JOBS) tests/simulation
	$(BIN)/python -m tests.simulation --seeds 20000 --strict
	$(BIN)/python -m tests.simulation --tier native --seeds 3000
	CLOCK_CASES=all CONSUMER_CASES=all SOAK_PUSHES=1000000 KILL_PUSHES=500000 INGEST_KILLS=200 $(BIN)/pytest \
		-o faulthandler_timeout=1500 --numprocesses 2 --dist worksteal tests/acceptance

check: $(VENV)/.dev  ## format, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

simulate: $(VENV)/.dev  ## histories in a simulated world; SEEDS=n, HOURS=h, or SEED=n TRACE=1 for one
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(TRACE),--trace) \
		$(if $(PLAN),--plan $(PLAN)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)) \
		$(if $(HOURS),--hours $(HOURS)) $(if $(TIER),--tier $(TIER))

bench: $(VENV)/.dev .bench-tools  ## measure against the targets; BENCH=--quick, BENCH=--help
	$(BIN)/python -m tests.benchmarks $(BENCH)

soak: $(VENV)/.dev  ## a million pushes through connections that break: some minutes
	SOAK_PUSHES=1000000 $(BIN)/pytest -o faulthandler_timeout=1500 tests/acceptance/test_soak.py

format: $(VENV)/.dev  ## write the format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:  ## take the newest versions that fit pyproject.toml into deploy/constraints.txt
	@set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(PYTHON) -m venv "$$fresh"; \
	"$$fresh/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[dev]'; \
	{ echo '# What CI and the image install. Written by `make lock`.'; \
	  "$$fresh/bin/python" -m pip freeze --exclude-editable; } > $(LOCKED)

clean:  ## remove .venv and all caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- servers and clients that others wrote: what tests and benchmarks hold ours against ---------

# What is missing is installed where that is possible, once; tests skip what is still missing.
# Debian starts what it installs; policy-rc.d says no, for ours run while they are needed.
$(VENV)/.servers: | $(BIN)/python
	@PATH="$$PATH:/usr/sbin:$$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"; missing=; \
	for pair in nginx:nginx nghttpd:nghttp2-server h2load:nghttp2-client node:nodejs \
			postgres:postgresql nats-server:nats-server promtool:prometheus \
			faketime:faketime; do \
		command -v "$${pair%:*}" >/dev/null || missing="$$missing $${pair#*:}"; \
	done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing$$missing"; \
		policy=/usr/sbin/policy-rc.d; \
		if [ ! -e $$policy ]; then \
			trap "rm -f $$policy" EXIT; \
			printf '#!/bin/sh\nexit 101\n' > $$policy; chmod 755 $$policy; \
		fi; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get update -qq \
			&& apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } \
			|| echo "Could not install$$missing: what needs them is skipped" >&2; \
	fi
	@touch $@

.bench-tools: $(VENV)/.servers
	@PATH="$$PATH:/usr/sbin"; \
	if ! command -v nginx >/dev/null || ! command -v h2load >/dev/null; then \
		echo 'The benchmarks need nginx and h2load: sudo apt-get install nginx nghttp2-client' >&2; \
		exit 1; \
	fi

# --- the virtual environment -------------------------------------------------------------------

$(BIN)/python:
	@python='$(PYTHON)'; \
	if [ -z "$$python" ]; then \
		echo 'Inkpush needs Python 3.11 or newer: apt-get install python3' >&2; exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
		package=$$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing $$package"; \
			apt-get update -qq && apt-get install -y -qq "$$package" >/dev/null; \
		else \
			echo "This Python cannot make virtual environments: sudo apt-get install $$package" >&2; \
			exit 1; \
		fi; \
	fi; \
	$$python -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# a stamp is older than what it was made from when the versions or the extras have changed
$(VENV)/.runtime: pyproject.toml $(LOCKED) | $(BIN)/python
	@echo 'Installing Inkpush into $(VENV): once, about a minute'
	@$(PIP_INSTALL) -c $(LOCKED) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml $(LOCKED) | $(BIN)/python
	@echo 'Installing Inkpush and its development tools into $(VENV): once, about a minute'
	@$(PIP_INSTALL) -c $(LOCKED) -e '.[dev]'
	@touch $@ $(VENV)/.runtime
