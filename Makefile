# The one entry point. `make help` lists the targets.
.DEFAULT_GOAL := help
CARGO := cargo
# The contract as it was last released: the image that `make contract` compares with.
RELEASED := proto/released/domicile.binpb

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: tools
tools:
	@command -v $(CARGO) >/dev/null 2>&1 || { echo "Rust is missing: install it with rustup, then run this again." >&2; exit 1; }
	@command -v cc >/dev/null 2>&1 || { echo "A C compiler is missing: install gcc or clang so that 'cc' is found, then run this again." >&2; exit 1; }

.PHONY: run
run: tools ## Serve a development instance with an example (Ctrl-C ends it)
	$(CARGO) build --locked -p domicile
	./target/debug/domicile dev

.PHONY: test
test: tools ## Run all tests; starts what they need and names what it used
	./scripts/test.sh

.PHONY: soak
soak: tools ## Kill the server a hundred times under load, and check 100,000 revocations on each store (about an hour)
	DOMICILE_TEST_CRASHES=100 ./scripts/test.sh --package domicile-tests --test crashes
	DOMICILE_TEST_PAIRS=100000 ./scripts/test.sh --package domicile-tests --test revocations -- --nocapture

.PHONY: bench
bench: tools ## Measure against controls and print the table (under 15 minutes; ARGS=--write-docs)
	./scripts/bench.sh $(ARGS)

.PHONY: bench-full
bench-full: tools ## The same with 10,000,000 users and an hour of mixed load
	./scripts/bench.sh --full $(ARGS)

.PHONY: lint
lint: tools ## Check format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	$(CARGO) clippy -p domicile --locked -- -D warnings

.PHONY: domain-alone
domain-alone: tools ## Check the domain crate by itself, where nothing hides an impurity
	$(CARGO) check -p domicile-domain --locked
	$(CARGO) clippy -p domicile-domain --features mock,serde --locked -- -D warnings

.PHONY: docs
docs: tools ## Build the documentation of all crates; a broken link fails
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

.PHONY: contract
contract: ## Lint the gRPC contract, check its format, and that it breaks no client of the last release
	./scripts/tools.sh checks
	.tools/buf/node_modules/.bin/buf lint
	.tools/buf/node_modules/.bin/buf format --diff --exit-code
	.tools/buf/node_modules/.bin/buf breaking --against $(RELEASED)

.PHONY: contract-release
contract-release: ## Keep the contract of now as the released one, which later ones must not break
	./scripts/tools.sh checks
	.tools/buf/node_modules/.bin/buf build --exclude-source-info --output $(RELEASED)

.PHONY: deps
deps: tools ## Check bans, licences and sources of the dependencies
	./scripts/tools.sh checks
	.tools/deny/bin/cargo-deny --log-level error check bans licenses sources
	@echo "Advisories were not checked: their database cannot be reached from here."

.PHONY: ci
ci: lint domain-alone contract deps test docs ## Everything that has to pass before a change lands
