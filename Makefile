# Every target sets up what it needs in .venv, once. Needs Python 3.11 or newer, and make.

READY := .venv/.ready
BIN := .venv/bin
# One thread for each process: two threads of one process on two busy cores wait for each other.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: advise claims test test-slow test-kernels test-kernels-slow test-gpu check stubs bench
.DELETE_ON_ERROR:

advise: $(READY)  ## a first look: the main job, on data that comes with scikit-learn
	$(BIN)/whyloss advise

claims: $(READY)  ## folklore about losses, each sentence settled by experiment; a quarter of an hour
	$(BIN)/whyloss claims

test: $(READY)  ## the tests, in some ten minutes
	$(ONE_THREAD) $(BIN)/pytest -n auto --maxprocesses 2

test-slow: $(READY)  ## simulations that take many minutes
	$(ONE_THREAD) $(BIN)/pytest -n auto --maxprocesses 2 -m slow

test-kernels: $(BIN)/.triton  ## the GPU code without a GPU: in Triton's interpreter, and compiled for an H200
	$(ONE_THREAD) TRITON_INTERPRET=1 $(BIN)/pytest -n auto --maxprocesses 2 -m 'not slow' -k 'triton or kernels' \
	  tests/kernels tests/laws.py tests/test_edges.py tests/test_overwriting.py tests/accuracy.py
	$(ONE_THREAD) $(BIN)/pytest -n auto --maxprocesses 2 -m kernels tests/kernels/test_compiled.py tests/kernels/test_handles.py \
	  tests/kernels/test_region_kernels.py

test-kernels-slow: $(BIN)/.triton  ## every loss over every shape, in the interpreter
	$(ONE_THREAD) TRITON_INTERPRET=1 $(BIN)/pytest -n auto --maxprocesses 2 -m slow -k 'triton or kernels' tests/kernels

test-gpu: $(READY)  ## the same on the GPU of this machine
	$(ONE_THREAD) WHYLOSS_DEVICE=cuda $(BIN)/pytest -n auto --maxprocesses 8 -m 'not slow' -k 'triton or kernels' \
	  --ignore tests/kernels/test_compiled.py tests/kernels tests/laws.py tests/test_edges.py tests/test_overwriting.py tests/accuracy.py

check: $(READY)  ## all that has to hold before a change goes in
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(MAKE) test

stubs: $(READY)  ## what is written from the classes: signatures for type checkers, the list of losses
	$(BIN)/python -m whyloss.stubs
	$(BIN)/python -m whyloss.pages.markdown > docs/losses.md

bench: $(READY)  ## how fast the losses are here, beside plain torch; less than a minute
	$(ONE_THREAD) $(BIN)/whyloss bench --quick

$(READY): pyproject.toml constraints.txt
	@for python in python3 python3.14 python3.13 python3.12 python3.11 none; do \
	  if [ $$python = none ]; then \
	    echo "whyloss needs Python 3.11 or newer, and there is none on the path. Install it, then run make again." >&2; exit 1; \
	  fi; \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; \
	done; \
	echo "Setting up .venv with $$($$python --version); this takes some minutes, once."; \
	$$python -m venv .venv || { \
	  echo "No virtual environment could be made. On Debian and Ubuntu, install the package python3-venv." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(BIN)/.triton: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt triton
	@touch $@
