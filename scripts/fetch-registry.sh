#!/usr/bin/env bash
# Puts Debian's docker-registry into DIR, unless one is there already: a real registry for
# tests. It comes as this machine's apt is set up to fetch it, which checks its signature,
# and is unpacked, not installed.
#
#   scripts/fetch-registry.sh [DIR]      default: target/registry
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
place=${1:-${CARGO_TARGET_DIR:-$root/target}/registry}
registry=$place/usr/bin/docker-registry

if ! [ -x "$registry" ]; then
    mkdir -p "$place"
    fetched=$(mktemp -d "$place/fetch.XXXXXX")
    trap 'rm -rf "$fetched"' EXIT
    # apt fetches as a user of its own where it can; the directory is ours.
    (cd "$fetched" && apt-get download --quiet --quiet -o APT::Sandbox::User=root docker-registry >&2)
    dpkg-deb --extract "$fetched"/docker-registry_*.deb "$fetched/unpacked"
    # In one step, so that one that was interrupted leaves none.
    mkdir -p "$place/usr/bin"
    mv "$fetched/unpacked/usr/bin/docker-registry" "$registry"
fi
"$registry" --version >&2
echo "$registry"
