# The commands of the README. They make what they need (.venv, a browser) and can be repeated.
# Every path is relative, so that the project works in a folder whose name has spaces.

.PHONY: help run stop status test soak lint types simulate bench bench-full
.DEFAULT_GOAL := help

python := .venv/bin/python
long = tests/soak tests/hammer tests/sim tests/system/test_browser.py::test_a_page_that_loses_its_connection_loses_no_message
chat = if [ -x $(python) ]; then $(python) tools/chat.py $(1); else echo "Not running."; fi

help:  ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' Makefile | expand -t 16

run:  ## start the chat under supervisord and print its URL
	@sh tools/install.sh
	@$(call chat,start)

stop:  ## stop the chat and its supervisord
	@$(call chat,stop)

status:  ## say what runs
	@$(call chat,status)

test:  ## run all tests (ARGS="-k gate" to choose some)
	@sh tools/install.sh test
	@sh tools/browser.sh
	$(python) -m pytest $(ARGS)

soak:  ## the long tests: people talk while servers are killed (ZCHAT_SEED=7 to choose)
	@sh tools/install.sh test
	@sh tools/browser.sh
	ZCHAT_SOAK=1 $(python) -m pytest -s $(or $(ARGS),$(long))

simulate:  ## run 2,000 seeds of the simulation (ARGS="SEED" for one)
	@sh tools/install.sh test
	PYTHONHASHSEED=0 $(python) -m tests.sim $(or $(ARGS),1 --count 2000)

bench:  ## measure zchat beside what else one might pick, in ten minutes (ARGS="--only nats zchat")
	@sh tools/install.sh bench
	$(python) -m bench $(ARGS)

bench-full:  ## the same for an hour, with all goals; writes the table and pictures of docs/
	@sh tools/install.sh bench
	$(python) -m bench --full --document $(ARGS)

lint:  ## check formatting and style
	@sh tools/install.sh dev
	$(python) -m ruff format --check .
	$(python) -m ruff check .

types:  ## check types
	@sh tools/install.sh test,dev
	$(python) -m mypy
