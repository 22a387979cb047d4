# make demo | make test | make check | make setup: each does all the set-up it needs, in .venv.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready

.PHONY: setup needs demo test check clean

setup: needs $(READY)
	@$(BIN)/python -c "import cv2" 2>/dev/null || { $(BIN)/python -c "import cv2" 2>&1 | tail -n 1; \
	  echo "OpenCV must find libGL and glib. Type: apt-get install -y libgl1 libglib2.0-0"; exit 1; }

needs:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer must be there; no $(PYTHON). Type: make setup PYTHON=python3"; exit 1; }
	@command -v $${CXX:-g++} >/dev/null || echo "no $${CXX:-g++}: nothing can be compiled to .pt2 files. Type: apt-get install -y g++"

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.lock
	$(BIN)/pip install --quiet --no-deps -e .
	@touch $@

demo: setup
	$(BIN)/lightsharp run demo

test: setup
	$(BIN)/pytest -n 2 --dist loadfile --max-worker-restart 0 --durations 25

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_architecture.py

clean:
	rm -rf .venv runs build *.egg-info
