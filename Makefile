# make demo | make test | make check | make setup: each does all the set-up it needs, in .venv.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready

.PHONY: setup demo test check clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer must be there; no $(PYTHON). Type: make PYTHON=python3 $(MAKECMDGOALS)"; exit 1; }
	@command -v g++ >/dev/null || echo "no g++: nothing can be compiled to .pt2 files. Type: apt-get install -y g++"
	@/sbin/ldconfig -p 2>/dev/null | grep -q 'libGL\.so\.1' || { echo "libGL must be there for OpenCV. Type: apt-get install -y libgl1 libglib2.0-0"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.lock
	$(BIN)/pip install --quiet --no-deps -e .
	@touch $@

demo: setup
	$(BIN)/lightsharp run demo

test: setup
	$(BIN)/pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_architecture.py

clean:
	rm -rf .venv runs build *.egg-info
