#!/usr/bin/env bash
# Tests the Kubernetes API of `wasmjob serve` with the official Python client, in a virtual
# environment of its own.
#
#   scripts/python-client.sh [WASMJOB]      default: target/debug/wasmjob
#
# The environment is kept in target/python-client. Where it cannot be made (no Python, no
# package index), the exit code is 77.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
WASMJOB=$(realpath "${1:-$root/target/debug/wasmjob}")
[ -x "$WASMJOB" ] || { echo "error: $WASMJOB is not there: cargo build --workspace" >&2; exit 2; }
export WASMJOB PYTHONDONTWRITEBYTECODE=1

tests=$root/tests/python
place=${CARGO_TARGET_DIR:-$root/target}/python-client
if ! cmp -s "$tests/requirements.txt" "$place/requirements.txt"; then
    rm -rf "$place"
    if ! { python3 -m venv "$place" &&
        "$place/bin/pip" install --quiet --requirement "$tests/requirements.txt"; }; then
        echo "the Python client cannot be installed here" >&2
        exit 77
    fi
    cp "$tests/requirements.txt" "$place/"
fi
exec "$place/bin/python" -m unittest discover --start-directory "$tests" --verbose
