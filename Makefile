# Two doors: `make bench` answers the question, `make test` checks the answerer.
# Everything here is quick the second time: environments carry a stamp of what they hold.

PYTHON ?= python3
BIN := .venv/bin
COMMA := ,

.DEFAULT_GOAL := help
.PHONY: help controller env bench bench-serving bench-lanes report test prove bench-kernels pictures gpu-check clean

help: ## this list
	@echo "make TARGET [SUITE=quick] [CONTENDERS=torch,jax] [DEVICE=cpu|cuda[:N]] [BUDGET=10m] [RUN=NAME]"
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 14

controller:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
		"Bakeoff needs Python 3.11 or later, this is %d.%d: try make PYTHON=python3.11" % sys.version_info[:2])'
	@$(PYTHON) -m harness.setup controller

env: controller ## make the environments: .venv for the bakeoff command, .envs/ for the frameworks
	@$(BIN)/python -m harness.setup \
		$(if $(DEVICE),--device $(firstword $(subst :, ,$(DEVICE)))) $(subst $(COMMA), ,$(CONTENDERS))

bench: env ## measure, and write the page (suite quick on a CPU, full on a GPU)
	@$(BIN)/bakeoff run $(if $(RUN),--run-id $(RUN)) $(if $(SUITE),--suite '$(SUITE)') \
		$(if $(CONTENDERS),--contenders $(CONTENDERS)) $(if $(DEVICE),--device $(DEVICE)) \
		$(if $(BUDGET),--budget $(BUDGET))

bench-serving: controller ## who serves on a CPU: frameworks beside inference engines
	@$(BIN)/python -m harness.setup --device cpu torch tensorflow jax onnxruntime openvino litert
	@$(BIN)/bakeoff run --suite serving --device cpu $(if $(RUN),--run-id $(RUN)) \
		$(if $(CONTENDERS),--contenders $(CONTENDERS)) $(if $(BUDGET),--budget $(BUDGET))

bench-lanes: controller ## portable over native: what the neutral form costs each framework
	@$(BIN)/python -m harness.setup --device cpu torch tensorflow jax flax keras:torch
	@$(BIN)/bakeoff run --suite lanes --device cpu $(if $(RUN),--run-id $(RUN)) \
		$(if $(CONTENDERS),--contenders $(CONTENDERS)) $(if $(BUDGET),--budget $(BUDGET))

report: controller ## write a run's page anew, the latest's or RUN's
	@$(BIN)/bakeoff report $(RUN)

test: DEVICE := cpu
test: CONTENDERS := numpy,torch,tensorflow,jax,flax,onnxruntime,openvino,litert
# Hundreds of processes import our own modules: each is compiled once, whatever the shell says.
test: export PYTHONDONTWRITEBYTECODE :=
test: env ## lint, check types, run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 15 -m "not alone"
	$(BIN)/python -m pytest -m alone

prove: env ## prove the method's claims: over an hour; CLAIMS="coverage drift" for some, RUN=NAME to go on
	@$(BIN)/bakeoff prove $(CLAIMS) $(if $(RUN),--run-id $(RUN))

bench-kernels: env ## how good the numpy and c convolutions are, against BLAS and torch: minutes
	@$(BIN)/python -m tests.kernels

pictures: env ## take the pictures of README.md and docs/ anew, from a published run (RUN=FOLDER)
	@$(BIN)/python -m tests.pictures $(RUN)

gpu-check: ## check and measure on a GPU with this Python's own frameworks (ONLY=parity LIMIT=8m); no network
	@$(PYTHON) -m harness.gpu_check --device $(or $(DEVICE),cuda) $(if $(ONLY),--only $(ONLY)) \
		$(if $(CONTENDERS),--contenders $(CONTENDERS)) $(if $(SUITE),--suite '$(SUITE)') \
		$(if $(WORKLOADS),--workloads '$(WORKLOADS)') $(if $(BUDGET),--budget $(BUDGET)) \
		$(if $(LIMIT),--limit $(LIMIT))

clean: ## remove environments and caches; results and pages stay
	rm -rf .venv .venv.before .envs .cache .pytest_cache .mypy_cache .ruff_cache .benchmarks *.egg-info
	find adapters harness reports suites tests -name __pycache__ -type d -prune -exec rm -rf {} +
