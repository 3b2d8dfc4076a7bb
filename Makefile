# kgctl: what can be made. `make` alone lists it. See CONTRIBUTING.md for the layers of tests.

SHELL := /bin/bash
BIN := .venv/bin
# the first Python that kgctl runs on; say PYTHON=... for another one
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11, \
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))) python3)
# more options for pytest: make unit ARGS='-k leader -x'
ARGS ?=
# only errors: a machine's own configuration of pip may warn of every package
PIP := $(BIN)/pip install -qq
PYTEST := $(BIN)/python -m pytest -n auto --dist loadgroup
FUZZ := $(BIN)/python -m tests.fuzz
# what the tests run besides Python; each test names its own with @pytest.mark.needs
LOCK := pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --custom-compile-command 'make lock' \
	--python-version 3.11

TEST_TOOLS := busybox cc chromium curl dot fish git ip iperf3 iptables jq nft nmcli nsenter ping ps resolvconf script setpriv ssh \
	sshd strace sysctl systemd-analyze systemd-networkd systemd-sysusers tc unshare wg wg-quick wireguard-go zbarimg zsh

.PHONY: help
help: ## list what can be made
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1|\2/p' Makefile | while IFS='|' read -r name what; do \
		printf '%-14s %s\n' "$$name" "$$what"; done

# --- to use it ---

.PHONY: demo
demo: .venv/.kgctl ## draw the bundled example cluster, and print the configuration of one of its peers
	@.ci/install-tools required dot
	@mkdir -p demo
	@$(BIN)/kgctl --example graph >demo/kilo.dot
	@dot -Tsvg -o demo/kilo.svg demo/kilo.dot
	@echo '$$ kgctl --example showconf peer laptop -o wg-quick'
	@$(BIN)/kgctl --example showconf peer laptop -o wg-quick
	@echo
	@echo 'Above: the wg-quick file of the peer "laptop". Its network is drawn in demo/kilo.svg.'
	@echo 'Try next: $(BIN)/kgctl --example get nodes'

# --- to work on it ---

.PHONY: dev
dev: .venv/.dev ## set up .venv with kgctl (editable) and the tools to work on it

.PHONY: test
test: lint tools apiserver mermaid sarif browserfiles .venv/.fuzz ## everything that CI checks: lint and all tests
	$(PYTEST) $(ARGS)
	$(FUZZ) --fixed

.PHONY: whole
whole: ## make test with make kernel beside it, on what the tests leave of the processors
	.ci/beside "make kernel" $(MAKE) --no-print-directory kernel -- $(MAKE) --no-print-directory test

.PHONY: lint
lint: .venv/.dev ## format, style, docstrings, types, import rules
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: unit
unit: .venv/.dev mermaid sarif ## tests that need nothing but Python (and Graphviz, and Node)
	@.ci/install-tools wanted dot
	$(PYTEST) -m 'not api and not network and not browser' $(ARGS)

.PHONY: api
api: apiserver ## tests against a real kube-apiserver
	$(PYTEST) -m 'api and not network' $(ARGS)

.PHONY: network
network: apiserver tools ## tests with real packets, in network namespaces
	$(PYTEST) -m network $(ARGS)

.PHONY: kernel
kernel: .venv/.dev ## tests on Debian's kernel (WireGuard, IPIP, netem), in machines that QEMU emulates (6 minutes)
	@.ci/install-tools wanted ip nsenter ping sysctl tc wg wg-quick
	@tests/kernel/run.sh $(ARGS)

.PHONY: browser
browser: .venv/.dev browserfiles ## tests of pages in Chromium
	$(PYTEST) -m browser $(ARGS)

.PHONY: slow
slow: tools apiserver mermaid sarif browserfiles ## all tests with the fast lane turned off; ARGS=--slow-lane-third runs a third
	KGCTL_SLOW=1 $(PYTEST) $(ARGS)

.PHONY: fuzz
fuzz: .venv/.fuzz ## throw made-up clusters and files at kgctl for a minute; FUZZ_SECONDS=3600 is longer
	$(FUZZ)

.PHONY: rules
rules: .venv/.dev ## write the index of the rules of kgctl check: docs/rules.md
	$(BIN)/python -m tests.docs.rules

.PHONY: bench
bench: apiserver ## measure, and write docs/performance.md (6 to 12 minutes; ARGS=--quick prints a short form)
	$(BIN)/python -m bench.run $(ARGS)

.PHONY: bench-agent
bench-agent: apiserver tools ## measure kgctl agent among 300 and 1,000 nodes, and Kilo's agent if it is on the PATH as kg (5 minutes)
	$(BIN)/python -m bench.agent $(ARGS)

.PHONY: findings
findings: ## run what is known of other programs, each on real packages; needs root, Debian 12, PyPI and npm; not part of CI
	@status=0; for one in findings/*-*.sh; do case $$one in */debian-packages.sh) ;; *) \
		bash $$one || status=1;; esac; done; exit $$status

.PHONY: soak
soak: apiserver tools ## kgctl connect for long: a minute of events, of a hostile node, of an ailing server, 10,000 rounds; agents for five minutes without a server (20 minutes)
	KGCTL_STORM_SECONDS=60 KGCTL_SOAK_ROUNDS=10000 $(BIN)/python -m pytest tests/network/test_connect_load.py \
		tests/network/test_connect_endurance.py -o junit_family=xunit1 --junitxml=soak.xml $(ARGS)
	@grep -o '<property [^>]*>' soak.xml
	KGCTL_AWAY_SECONDS=300 $(BIN)/python -m pytest tests/network/test_agents.py -k restored $(ARGS)

.PHONY: format
format: .venv/.dev ## format the code, and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: pictures
pictures: .venv/.dev ## draw the pictures of the documentation anew
	@.ci/install-tools required chromium dot
	$(BIN)/kgctl --example graph | dot -Tsvg -Gfontname=Helvetica -Nfontname=Helvetica -o docs/images/example.svg
	$(BIN)/python -m tests.docs.pictures docs/images

# a new version of a package gets in here, and nowhere else
.PHONY: lock
lock: ## pin the packages that packaging/install installs to their newest versions, by their hashes
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/pip install -qq uv
	build/lock/bin/uv $(LOCK) --extra serve pyproject.toml -o packaging/requirements.txt
	build/lock/bin/uv $(LOCK) packaging/build-requirements.in -o packaging/build-requirements.txt

.PHONY: sbom
sbom: ## install kgctl by these hashes into build/kgctl; dist/kgctl.cdx.json lists what that is (CycloneDX)
	@rm -rf build/kgctl
	@mkdir -p build dist
	PYTHON=$(PYTHON) packaging/install build/kgctl dist/kgctl.cdx.json

.PHONY: clean
clean: ## remove everything that was made here (a built kube-apiserver stays in its cache)
	rm -rf .venv demo build dist .fuzz .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find kgctl tests -name __pycache__ -type d -prune -exec rm -r {} +

# --- what the above stand on ---

.PHONY: tools
tools: .venv/.dev
	@.ci/install-tools wanted $(TEST_TOOLS)

# built once a machine, about 6 minutes; nothing where KUBEBUILDER_ASSETS names a kube-apiserver and an etcd
.PHONY: apiserver
apiserver: tools
	@tests/apiserver/build.sh

# one made of the libraries of a current Kubernetes, into the same cache; about 10 minutes, and no part of make test
.PHONY: apiserver-current
apiserver-current:
	@tests/apiserver/build-current.sh

# the parser that tests hold Mermaid texts against, from npm; in a cache, once a machine
.PHONY: mermaid
mermaid:
	@.ci/install-npm tests/mermaid 'the Mermaid parser for the tests' node

# the validator that tests hold SARIF logs against, from npm; in a cache, once a machine
.PHONY: sarif
sarif:
	@.ci/install-npm tests/sarif 'the SARIF validator for the tests'

# what tests in a browser take from npm, by a lock file; in a cache, once a machine
.PHONY: browserfiles
browserfiles:
	@.ci/install-npm tests/browser 'axe for the tests in a browser' chromium

# The stamps: .pip (an environment whose pip knows dependency groups), .kgctl (to use it), .dev (to work on it)
.venv/.pip:
	@PYTHON=$(PYTHON) .ci/install-tools required venv
	@$(PYTHON) -m venv .venv
	@$(PIP) --upgrade 'pip>=25.1'
	@touch $@

.venv/.kgctl: pyproject.toml .venv/.pip
	@echo 'Installing kgctl into .venv'
	@$(PIP) --editable .
	@touch $@

.venv/.dev: pyproject.toml .venv/.kgctl
	@echo 'Installing the tools to work on it into .venv'
	@$(PIP) --group dev
	@touch $@

# installs nothing where there is no atheris: `make fuzz` says so
.venv/.fuzz: pyproject.toml .venv/.dev
	@$(PIP) --group fuzz
	@touch $@
