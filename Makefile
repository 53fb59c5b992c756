# `make demo` and `make test` need nothing but Python >= 3.11; both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-oldest check check-pythons lint types docs bench mutants screenshots lock clean

demo: $(VENV)/.run
	$(BIN)/ecolyo-worker demo

test: $(VENV)/.test
	$(BIN)/pytest --numprocesses auto --dist loadfile $(PYTEST_ARGS)

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
	PYTHONTZPATH= .oldest/bin/python -m pytest --numprocesses auto --dist loadfile $(OLDEST) $(PYTEST_ARGS)

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

# The pages that are made from the package; a test tells when one is stale.
docs: $(VENV)/.run
	$(BIN)/python docs/generate.py

# One line of JSON each, or a few; the other files of bench/ are what they share. The last two end
# with 1 where what is promised of them is missed by far.
# night_1m makes a million events first, which takes minutes.
BENCHES := intake_ack_1000 intake_batch_500 intake_http_500 drain drain_20ms rate night_1m status_1m rollup_3y page_filter echo_start

bench: $(VENV)/.test
	for name in $(BENCHES); do $(BIN)/python bench/$$name.py || exit; done

# Small changes to what decides on attempts and to what counts: of each a test must become red. It takes
# an hour or more. mutmut is in no lock: nothing else needs it.
MUTMUT := mutmut==3.8.1
mutants: .mutants/bin/mutmut
	.mutants/bin/mutmut run --max-children 1
	.mutants/bin/mutmut results

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
		--upgrade --resolution lowest-direct --extra test --output-file requirements/oldest.lock pyproject.toml requirements/build.in

clean:
	rm -rf .venv .oldest .pythons .mutants mutants dist
