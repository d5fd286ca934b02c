# What a person runs by hand here. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help demo test e2e soak bench fuzz simulation mutants model image crds audit lint clean cargo control-plane programs

# Where cargo puts what it builds, whatever its settings say.
BUILT = $(shell cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-10s  %s\n", $$1, $$2 }' Makefile

demo: cargo control-plane ## Show a short story on a real API server; on a terminal it stays up until Ctrl-C
	@[ -x "$(BUILT)/sarvam-demo" ] || echo 'Building the operator and the demo with cargo: a few minutes, once'
	@cargo build --locked --workspace --bins
	@exec "$(BUILT)/sarvam-demo" --operator "$(BUILT)/sarvam-operator"

# Most tests wait for another process most of the time, so more run at once than there are cores.
test: export RUST_TEST_THREADS ?= $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN))))
test: cargo control-plane programs lint ## Run every check and every test
	cargo test --locked --workspace --no-fail-fast

e2e: cargo control-plane ## Install, upgrade and uninstall the chart on a node of its own, which needs root, or with USE_EXISTING_CLUSTER=true (part of make test)
	@tools/program helm >/dev/null
	cargo test --locked --test e2e

soak: cargo control-plane ## Edit lines for MINUTES=10 while everything fails, and tell for how long anything was wrong; SEED=7 has the same again (a short one is part of make test)
	@cargo build --locked --workspace --bins
	@exec "$(BUILT)/sarvam-soak" --operator "$(BUILT)/sarvam-operator"

bench: cargo control-plane ## Measure edits, starts and an idle operator beside other frameworks, and write docs/benchmarks.md: a quarter of an hour
	WRITE_BENCHMARKS=1 cargo bench --locked --bench edits

fuzz: cargo ## Read ten million broken answers of the remote, or as many as FUZZ_REPLIES says; FUZZ_SEED makes others (cargo fuzz: see fuzz/Cargo.toml)
	FUZZ_REPLIES="$${FUZZ_REPLIES:-10000000}" cargo test --locked --test fuzz -- --nocapture

simulation: cargo ## Try every trouble at every step of every simulated story, and pairs of troubles; SIMULATION_SEED has other schedules: twenty minutes of one core
	SIMULATION=long cargo test --locked --profile long --test simulation -- --nocapture

mutants: cargo ## Change the decisions of src/core in every way that cargo-mutants knows, and see each change caught; FILES names other sources
	@command -v cargo-mutants >/dev/null || { echo 'cargo-mutants is missing: cargo install --locked cargo-mutants' >&2; exit 1; }
	@# First without the model check, which takes longest; then with it, those that were missed.
	$(MUTANTS) --profile mutants -- -- --skip step::model || [ $$? -le 3 ]
	MODEL_STEPS="$${MODEL_STEPS:-20000}" $(MUTANTS) --iterate

MUTANTS = cargo mutants --workspace $(foreach file,$(or $(FILES),'src/core/**'),--file $(file))

model: cargo ## Check the protocol in the world where any two of all faults happen: more than ten million unique states, or as far as MODEL_STEPS says
	MODEL_STEPS="$${MODEL_STEPS:-36000000}" cargo test --locked -p sarvam-core the_largest_bound -- --nocapture

image: cargo ## Build the image without a container engine: a tar, and its SBOM beside it (tools/image twice shows that it is reproducible)
	@tools/image

crds: cargo ## Write crds/ and docs/reference.md again, after a change of src/api
	cargo run --locked -q -- crds > "$(BUILT)/crds.yaml"
	cp "$(BUILT)/crds.yaml" crds/agents.sarvam.ai.yaml
	WRITE_REFERENCE=1 cargo test --locked -q --test docs -- --exact reference::the_reference_is_fresh

audit: cargo ## Write docs/dependencies.md again, after a change of Cargo.lock
	WRITE_DEPENDENCIES=1 cargo test --locked -q --test docs -- --exact dependencies::the_list_of_dependencies_is_fresh

lint: cargo ## Check the format, clippy's lints, and what the dependencies are and may be used for
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then echo 'cargo deny check bans licenses sources'; cargo deny --locked check --hide-inclusion-graph bans licenses sources; \
	else echo 'cargo-deny is not on the PATH, so bans, licences and sources were left out (cargo install --locked cargo-deny).'; fi

clean: cargo ## Remove what cargo built; the control plane stays in its cache folder
	cargo clean

# Rust and the C compiler that its linking needs, or a sentence.
cargo:
	@command -v cargo >/dev/null || { echo 'Rust is missing: install it with rustup (https://rustup.rs); rust-toolchain.toml names the version, and rustup fetches it.' >&2; exit 1; }
	@command -v cc >/dev/null || { echo 'A C compiler is missing, which Rust links with: install gcc or clang, so that cc is on the PATH.' >&2; exit 1; }

# etcd, kube-apiserver and kubectl: built once where neither KUBEBUILDER_ASSETS nor USE_EXISTING_CLUSTER=true says that there are some.
control-plane:
	@tools/control-plane >/dev/null

# What else the tests run, built before cargo's tests begin: a compiler beside them would take the time that they have.
programs:
	@tools/program helm promtool kustomize-controller argo-health >/dev/null
	@tools/gitops-crds >/dev/null
	@$(if $(filter Linux,$(shell uname)),echo 'Building the image for its tests: a few minutes the first time' && tools/image >/dev/null)
