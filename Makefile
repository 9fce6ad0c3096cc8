# make ask    install what is missing, fetch the models, answer a question about the handbook
# make test   run the tests

QUESTION ?= How many days of unused annual leave can I carry over to the next year?

# uv from the path, else a copy of our own in .tools: it needs nothing but pip.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
export PYTHONPATH :=

.PHONY: ask test uv

ask: uv
	@uv sync --locked --no-dev --inexact
	@uv run --no-sync groundling ask --docs data/handbook "$(QUESTION)"

test: uv
	@uv sync --locked --inexact
	@uv run --no-sync pytest

uv:
	@command -v uv >/dev/null || python3 -m pip install --quiet --target .tools uv
