#!/usr/bin/env bash
# Measures the engine against a bare Wasmtime loop, in one run on this machine.
# Prints Markdown; BENCHMARKS.md holds what it printed here.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release --workspace --bins --example bench --example api_bench --example pull_bench
target=${CARGO_TARGET_DIR:-target}/release
echo "$(uname -sr), $(nproc) processors, $(date -u +%F)"
echo
"$target/examples/bench" wasm-examples/hello/hello.wasm "$target/wasmjob"
echo
# A descriptor for each end of 10,000 watches.
ulimit -n 65536 2>/dev/null || true
"$target/examples/api_bench"
echo
if registry=$(scripts/fetch-registry.sh 2>/dev/null); then PATH=$(dirname "$registry"):$PATH; fi
"$target/examples/pull_bench" "$target/wasmjob"
