# make demo    find a law in a table (installs into .venv first)
# make test    style, types and tests
# make lint    style and types only
# make sanitize   tests of the kernels with every memory access and undefined behaviour checked
# make fuzz    10,000 random shapes through the kernels, checked in the same way

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Stamps: installing again waits for a change of the files that say what is installed. Python files
# are taken from src/ as they are; the kernels are compiled by the installation.
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
WHAT := pyproject.toml constraints.txt CMakeLists.txt $(wildcard csrc/*)

.PHONY: demo test lint sanitize fuzz sanitized
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	$(BIN)/edgewise discover examples/planets.csv --target period_years \
		--features semi_major_axis_au --out demo-out

# One thread a worker: two workers that each take every core slow one another down.
test: lint
	OMP_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m pytest -n 2

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check
	$(BIN)/mypy

# Leaks are Python's and torch's; what the kernels allocate is seen by the other checks.
CHECKED = EDGEWISE_LIBRARY=build/sanitize/libedgewise_kernels.so ASAN_OPTIONS=detect_leaks=0 \
	LD_PRELOAD=$$($(CXX) -print-file-name=libasan.so)
TESTS ?= tests/kernels
SHAPES ?= 10000

sanitize: sanitized
	$(CHECKED) OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TESTS)

fuzz: sanitized
	$(CHECKED) $(BIN)/python tests/kernels/fuzz_shapes.py $(SHAPES)

sanitized: $(INSTALLED_DEV)
	cmake -S . -B build/sanitize -DEDGEWISE_SANITIZE=ON
	cmake --build build/sanitize

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "edgewise needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1);" \
			"name another: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(WHAT) | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e .
	touch $@

$(INSTALLED_DEV): $(WHAT) | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	touch $(INSTALLED) $@
