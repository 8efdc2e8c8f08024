# The two commands: `make demo` shows the main job, `make test` passes the tests.
# Both install what they need and say so.

CARGO ?= cargo
ONCE ?=

# Calls answered and bridged at the limit, beside Kamailio; memory, overload, a flood.
bench-sip:
	@scripts/setup test
	$(CARGO) bench --quiet --profile dev --bench sip -- $(ARGS)

.PHONY: demo test check crash bench-campaign bench-tick bench-sip setup models fmt mutate fuzz

# Three journeys on real calls. ONCE=1: exits afterwards, non-zero if a journey failed.
demo:
	@scripts/setup demo
	@scripts/fetch-models
	@echo "demo: building (the first time takes some minutes, most of it the speech engine)"
	$(CARGO) run --quiet --bin trunkline -- demo $(if $(ONCE),--once)

test:
	@scripts/setup test
	@scripts/fetch-models
	$(CARGO) test --workspace

# Kills with signal 9 in a running campaign; 0 contacts lost, 0 dialled twice, 0 promises lost.
crash:
	@scripts/setup test
	@scripts/fetch-models
	$(CARGO) bench --quiet --profile dev --bench crash -- $(ARGS)

# 6,000 calls a minute for two minutes against SIPp, with the ledger on disk.
bench-campaign:
	@scripts/setup test
	@scripts/fetch-models
	$(CARGO) bench --quiet --profile dev --bench campaign -- $(ARGS)

# The 20 ms tick of a hundred prompts while recognisers work on the same cores.
bench-tick:
	@scripts/setup test
	@scripts/fetch-models
	$(CARGO) bench --quiet --profile dev --bench tick -- $(ARGS)

# Breaks a sample of the rules in docs/conformance.md in the code, and expects their tests to fail;
# ARGS=--all breaks each that can be.
mutate:
	@$(CARGO) bench --quiet --profile dev -p sip --bench mutate -- $(ARGS)

# Each fuzz target for SECONDS, two at a time; a finding is saved, printed, and fails.
fuzz:
	@scripts/setup fuzz
	@scripts/fuzz $(or $(SECONDS),600)

fmt:
	$(CARGO) fmt --all
