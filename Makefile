# Two commands do everything; neither needs root, a registry, Docker or kubectl.

CARGO ?= cargo
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

.PHONY: run test

# Builds cronlet, starts a node in ./.cronlet and shows a CronJob fire.
run:
	$(CARGO) build --release --package cronlet
	@$(CARGO_TARGET_DIR)/release/cronlet up --data-dir $(CURDIR)/.cronlet --log-root $(CURDIR)/.cronlet/log \
		--file $(CURDIR)/examples/quickstart --logs

# Every test of the workspace, the style rules, and what the strangers on this machine (kubectl, …) say.
test:
	$(CARGO) xtask ci
