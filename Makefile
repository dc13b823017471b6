# Thin names over the real commands. Every target sets up what it needs: a virtual environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench mutants docs setup clean

setup: .venv/installed .venv-flower/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 15) else "QuorumLearn needs Python 3.11 to 3.14, for which its libraries have wheels; name one with make PYTHON=python3.12")' >&2
	@echo "Setting up .venv: a few minutes and 6 GB the first time, torch brings most of it. (pip install quorumlearn brings none.)" >&2
	@$(PYTHON) -m venv .venv >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' >&2
	@touch $@

# Where Flower apps run: flwr's pins are others than ours. What it lacks, torch above all, it finds in .venv, after its own.
.venv-flower/installed: .venv/installed constraints-flower.txt
	@$(PYTHON) -m venv --clear .venv-flower >&2
	@.venv-flower/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-flower.txt flwr >&2
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(.venv-flower/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/libraries.pth"
	@touch $@

demo: setup
	@$(BIN)/quorumlearn demo $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m quorumlearn_proto.generate --check
	$(BIN)/python -m quorumlearn_proto.diagram docs/protocol.md --check
	$(BIN)/python -m pytest tests/test_architecture.py

# Two processes, each test file whole in one of them; make test ARGS="-n 0 -s FILE" plays in one that can be watched.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 20 $(ARGS)

docs: setup
	$(BIN)/python -m quorumlearn_proto.diagram docs/protocol.md

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

# All of them take hours; ARGS names some, whose tests take minutes to find: make mutants ARGS="'quorumlearn.robust.rounding.*'"
mutants: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutants]' >&2
	@rm -rf build/mutants/src build/mutants/tests build/mutants/benchmarks build/mutants/docs && mkdir -p build/mutants/src
	@cp -R proto/quorumlearn_proto chaincode/quorumlearn_chaincode client/quorumlearn network/quorumlearn_network build/mutants/src
	@cp -R tests benchmarks docs pyproject.toml build/mutants
	cd build/mutants && ../../$(BIN)/mutmut run $(ARGS)
	@cd build/mutants && ../../$(BIN)/mutmut results --all true | awk -F': ' \
		'$$2 == "not checked" {next} {n[$$2]++} $$2 != "killed"; END {for (status in n) print n[status], status}'

clean:
	rm -rf .venv .venv-flower quorumlearn-demo build
