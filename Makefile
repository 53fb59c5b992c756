# `make demo` and `make test` need nothing but Python >= 3.11; both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-oldest check check-pythons lint types audit docs bench bench-report soak mutants screenshots lock clean

demo: $(VENV)/.run
	$(BIN)/ecolyo-worker demo

# One more than there are cores, for many tests wait: for a process to start, a server, a disk.
WORKERS := $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")

test: $(VENV)/.test
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: lint types test

# The same on every Python of this machine that the package runs on, each with an environment of its
# own: the newest 3.11, the newest 3.12, and so on.
check-pythons:
	set -e; pythons=$$($(PYTHON) requirements/pythons.py); for python in $$pythons; do \
		echo "== $$python"; $(MAKE) check PYTHON=$$python VENV=.pythons/$${python##*/}; \
	done

# Unit and integration tests on the oldest versions that pyproject.toml allows; the system's zones,
# which go before those of tzdata, are kept away.
OLDEST := tests/unit tests/integration
test-oldest: .oldest/.test
	PYTHONTZPATH= .oldest/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(OLDEST) $(PYTEST_ARGS)

.oldest/.test: requirements/oldest.lock pyproject.toml
	$(PYTHON) -m venv --clear .oldest
	.oldest/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	.oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.test
	$(BIN)/mypy
	$(BIN)/mypy --strict tools

# Whether anything is known against what is locked; asks PyPI, and installs nothing that is audited.
AUDIT := pip-audit==2.10.1
audit: .audit/bin/pip-audit
	set -e; for lock in run test; do \
		$< --strict --disable-pip --require-hashes --requirement requirements/$$lock.lock; \
	done

.audit/bin/pip-audit:
	$(PYTHON) -m venv --clear .audit
	.audit/bin/python -m pip install --quiet --disable-pip-version-check $(AUDIT)

# The pages that are made from the package; a test tells when one is stale.
docs: $(VENV)/.run
	$(BIN)/python docs/generate.py

# Measures everything on a machine that does nothing else, in about half an hour, and keeps it in
# bench/results/latest.ndjson; `make bench BENCHES="drain rate"` measures only these anew. What it is
# measured against needs packages of its own. `make bench-report` writes the pages of what is kept.
bench: $(VENV)/.bench
	$(BIN)/python -m bench.run $(BENCHES)

bench-report: docs

# A service lives, under load and with faults on all sides, and is killed, again and again, for
# SOAK_MINUTES (30). A run that fails says with which SOAK_SEED it comes again. It ends with 1 if the
# books do not balance, and leaves the state to look at. Root has a small disk filled up, too.
# Then every parser and whole histories are tried with PROPERTY_EXAMPLES (10) times as many inputs as
# on every change, and others each time: a quarter of an hour or more.
PROPERTY_EXAMPLES ?= 10
soak: $(VENV)/.test
	$(BIN)/python -m tests.soak
	PROPERTY_EXAMPLES=$(PROPERTY_EXAMPLES) $(BIN)/pytest tests/property -k "fuzz or histories" --numprocesses $(WORKERS)

# Small changes to what decides on attempts and to what counts: of each a test must become red. It takes
# a quarter of an hour or more; one that is tried already is not tried again while its file stays
# as it is. mutmut is in no lock: nothing else needs it.
MUTMUT := mutmut==3.8.1
mutants: .mutants/bin/mutmut
	$(PYTHON) tests/mutation_tree.py .mutants/tree
	cd .mutants/tree && ../bin/mutmut run --max-children 1
	cd .mutants/tree && ../bin/mutmut results

.mutants/bin/mutmut: requirements/test.lock
	$(PYTHON) -m venv --clear .mutants
	.mutants/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	.mutants/bin/python -m pip install --quiet --disable-pip-version-check $(MUTMUT)

# A stamp says what the environment holds; the locks decide when it is made anew. The build back end is locked
# too, so the package itself is installed without build isolation. What was downloaded is kept, for
# the tests that install the wheel into an empty environment.
$(VENV)/.run: requirements/run.lock pyproject.toml | $(VENV)/bin/python
	$(call INSTALL_LOCKED,$<)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.test: requirements/test.lock $(VENV)/.run
	$(call INSTALL_LOCKED,$<)
	touch $@

$(VENV)/.bench: requirements/bench.lock $(VENV)/.test
	$(call INSTALL_LOCKED,$<)
	touch $@

define INSTALL_LOCKED
$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes --dest $(VENV)/wheels -r $(1)
$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --find-links $(VENV)/wheels --require-hashes -r $(1)
endef

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("ecolyo-worker needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# The pictures of docs/, as the page and the commands are now.
screenshots: $(VENV)/.test
	SCREENSHOTS=write $(BIN)/pytest tests/browser/test_screenshots.py tests/process/test_pictures.py

# New versions of what is locked; needs uv.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
		--upgrade --extra service --extra energy --output-file requirements/run.lock pyproject.toml requirements/build.in
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
		--upgrade --extra test --constraint requirements/run.lock --output-file requirements/test.lock pyproject.toml requirements/build.in
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
		--upgrade --constraint requirements/test.lock --output-file requirements/bench.lock requirements/bench.in
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
		--upgrade --resolution lowest-direct --extra test --output-file requirements/oldest.lock pyproject.toml requirements/build.in

clean:
	rm -rf .venv .oldest .pythons .audit .mutants mutants dist
