# `make demo` and `make test` need nothing but Python >= 3.11; both set up .venv by themselves.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-oldest check lint types docs bench screenshots lock clean

demo: .venv/.run
	$(BIN)/ecolyo-worker demo

test: .venv/.test
	$(BIN)/pytest --numprocesses auto --dist loadfile $(PYTEST_ARGS)

check: lint types test

# Unit and integration tests on the oldest versions that pyproject.toml allows.
test-oldest: .oldest/.test
	.oldest/bin/python -m pytest --numprocesses auto --dist loadfile tests/unit tests/integration $(PYTEST_ARGS)

.oldest/.test: requirements/oldest.lock pyproject.toml
	$(PYTHON) -m venv --clear .oldest
	.oldest/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	.oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: .venv/.test
	$(BIN)/mypy
	$(BIN)/mypy --strict tools

# The pages that are made from the package; a test tells when one is stale.
docs: .venv/.run
	$(BIN)/python docs/generate.py

# One line of JSON each, or a few; the other files of bench/ are what they share.
# night_1m makes a million events first, which takes minutes.
BENCHES := intake_ack_1000 intake_batch_500 intake_http_500 drain drain_20ms rate night_1m status_1m rollup_3y page_filter echo_start

bench: .venv/.test
	for name in $(BENCHES); do $(BIN)/python bench/$$name.py || exit; done

# A stamp says what .venv holds; the locks decide when it is made anew. The build back end is locked
# too, so the package itself is installed without build isolation. What was downloaded is kept, for
# the tests that install the wheel into an empty environment.
.venv/.run: requirements/run.lock pyproject.toml | .venv/bin/python
	$(call INSTALL_LOCKED,$<)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.venv/.test: requirements/test.lock .venv/.run
	$(call INSTALL_LOCKED,$<)
	touch $@

define INSTALL_LOCKED
$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes --dest .venv/wheels -r $(1)
$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --find-links .venv/wheels --require-hashes -r $(1)
endef

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("ecolyo-worker needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

# The pictures of docs/, as the page and the commands are now.
screenshots: .venv/.test
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
	rm -rf .venv .oldest dist
