# What people and machines do with this source tree. `make` alone lists it.

CARGO ?= cargo
# How long each fuzz target runs, or the swarm, or the soak.
SECONDS = 30
swarm: SECONDS = 600
soak: SECONDS = 3600

# Which part of all mutants runs: 3/16 is one of sixteen.
SHARD = 0/1

# Which cases of the lab run: all of them.
CASES =

# Is DPDK here? Asked when a recipe begins, since `packages` may just have brought it.
dpdk = $(shell pkg-config --exists libdpdk 2>/dev/null && echo yes)
# The whole workspace, and the shell alone, with DPDK where it is.
all = --workspace $(if $(dpdk),--features dperf-shell/dpdk,--exclude dpdk-sys)
shell = -p dperf-shell $(if $(dpdk),--features dpdk)
# The shell as it is on a machine without DPDK.
bare = -p dperf-shell --no-default-features

.PHONY: help demo test lab judges packetdrill packages bench instructions release-pgo fmt lint doc \
	no-std race tsan fuzz swarm soak coverage mutants clean

help: # Lists what can be made
	@sed -n 's/^\([a-z-]*\):[^#]*# /\1\t/p' Makefile | expand -t 14

demo: # Builds and runs client and server in one process; needs no device and installs nothing
	@$(if $(dpdk),,echo "libdpdk is not here: built without DPDK, which the demo does not need")
	$(CARGO) run --release $(shell) -- demo

test: packages # Installs missing Debian packages (and says which), then runs every test
	$(CARGO) test $(bare)
	$(CARGO) build $(all) --bins
	$(CARGO) test $(all)

lab: packages # Runs the program in a QEMU guest with Debian's kernel: vhost-net, PCI devices (root)
	$(CARGO) build $(all) --bins
	$(if $(filter rates,$(CASES)),\
		$(CARGO) bench -p dperf-tests --features dpdk --bench exception --no-run)
	$(if $(dpdk),tests/lab/run $(CASES),@echo "skipped: lab needs libdpdk"; test "$$CI" != true)

judges: packages # Asks every judge that we did not write, one table of what they say (root)
	$(CARGO) build $(all) --bins
	$(CARGO) build -p dperf-tests --example packetdrill
	scripts/judges

packetdrill: # Fetches packetdrill, its scripts and FreeBSD's, and runs them against the core
	scripts/packetdrill

packages: # Installs missing Debian packages, nothing else
	@scripts/packages

bench: # Measures cycles and instructions per packet, in the core and over ports (10 minutes)
	$(CARGO) build --release $(shell)
	$(CARGO) bench -p dperf-tests --bench core
	$(CARGO) bench -p dperf-tests --bench core -- --instructions
	$(CARGO) bench -p dperf-tests --bench ports

instructions: # Counts instructions per packet and fails if they grew by over 2 % (valgrind)
	$(CARGO) bench -p dperf-tests --bench core -- --gate

release-pgo: # Builds target/pgo/dperf-shell with a profile of itself; needs llvm-tools
	scripts/release-pgo $(shell)

fmt: # Formats every source file
	$(CARGO) fmt --all

lint: # Checks format and lints, with DPDK where it is, and without
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(all) --all-targets -- -D warnings
	$(CARGO) clippy $(bare) --all-targets -- -D warnings

doc: # Builds the documentation; a broken link is an error
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps $(all)

no-std: # Links the core into a program without std and alloc, and runs it
	$(CARGO) run --release --manifest-path tests/no-std/Cargo.toml

race: # Tries whatever threads share in every order that the memory model allows (loom)
	RUSTFLAGS="--cfg loom" $(CARGO) test --manifest-path tests/loom/Cargo.toml --tests

tsan: # Runs the program under load with ThreadSanitizer; needs root, a nightly toolchain, rust-src
	scripts/tsan

fuzz: # Runs each fuzz target for SECONDS (30); needs a nightly toolchain
	scripts/fuzz $(SECONDS)

coverage: # Says which lines and branches of the core no test reaches; needs nightly, LLVM
	scripts/coverage

mutants: # Says which small breaks of the core no unit test notices (SHARD=3/16: a part of them)
	scripts/mutants $(SHARD)

swarm: # Simulates random scenarios with fresh seeds for SECONDS (600)
	DPERF_SWARM_SECONDS=$(SECONDS) $(CARGO) test -p dperf-tests --test swarm -- --nocapture

soak: # Runs client and server at full rate for SECONDS (3600); prints rate, errors, memory
	$(CARGO) build --release $(bare) --bins
	DPERF_SHELL=$(CURDIR)/target/release/dperf-shell DPERF_SOAK_SECONDS=$(SECONDS) \
		$(CARGO) test -p dperf-tests --test soak -- --nocapture

clean: # Removes everything that was built
	$(CARGO) clean
	$(CARGO) clean --manifest-path tests/no-std/Cargo.toml
	$(CARGO) clean --manifest-path tests/loom/Cargo.toml
	$(CARGO) clean --manifest-path fuzz/Cargo.toml
