# `just` lists what people run here.
default:
    @just --list

# What CI runs.
check:
    .ci/run

# The tests, as the README says.
test:
    cargo test --workspace

# The tests, faster, with cargo-nextest.
nextest:
    cargo nextest run --workspace

# Formatting.
fmt:
    cargo fmt --all

# Figures against a bare Wasmtime loop.
bench:
    scripts/bench.sh

# Seeds of the Job simulator.
sim seeds="100000":
    cargo run --release -p wasmjob-controllers --example sim -- {{seeds}}

# Seeds of the CronJob simulator.
cron-sim seeds="20000":
    cargo run --release -p wasmjob-controllers --example cron_sim -- {{seeds}}

# Every command of the seeds' tutorials, with the kubectl on PATH.
seeds:
    cargo build --workspace
    scripts/seeds.sh

# The official Python client.
python-client:
    cargo build --workspace
    scripts/python-client.sh

# Rebuilds the committed example modules.
build-examples:
    scripts/build-examples.sh
