# The few commands of this project; `make help` lists them.

VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python

# The release that `make image` builds.
export DIB_RELEASE ?= bookworm
# What else to tell pytest, as in: make test PYTEST_ARGS="-k store"
PYTEST_ARGS ?=

# In CI a test that lacks what it needs fails instead of being skipped.
ifeq ($(CI),true)
export DIBFLOW_TEST_STRICT := 1
endif

.DEFAULT_GOAL := help
.PHONY: help image test test-all test-fast check bench dist clean setup-image setup-test

help: ## list these commands
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

image: setup-image ## build a bootable Debian image, out/demo.qcow2; run again it goes on where it was stopped
	@mkdir -p out
	$(VENV)/bin/dibflow build vm debian-minimal -o out/demo -t qcow2

test: setup-test ## run the tests, those that take long or need the kernel too
	$(PYTHON_IN_VENV) -m pytest --slow $(PYTEST_ARGS)

test-all: setup-test ## run all of these, and those that CI has no time for: an hour and more
	$(PYTHON_IN_VENV) -m pytest --slow --thorough $(PYTEST_ARGS)

test-fast: setup-test ## run the unit tests, which take seconds
	$(PYTHON_IN_VENV) -m pytest --ignore tests/system $(PYTEST_ARGS)

check: setup-test ## check the sources: lint, types, shell scripts, executable bits
	@scripts/check

bench: setup-test ## measure the engine, as ratios to plain work
	$(PYTHON_IN_VENV) -m bench

dist: setup-test ## make the source archive, then the wheel from it
	rm -rf build dist
	$(PYTHON_IN_VENV) -m build

clean: ## remove what the other commands made here, the images and the store apart
	rm -rf build dist $(VENV) *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find bench dibflow/ tasks tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

setup-image:
	@scripts/setup image

setup-test:
	@scripts/setup test
