#!/usr/bin/env bash
# Puts Debian's redis-server and redis-cli into DIR, unless they are there already: a real
# database for tests. They come as this machine's apt is set up to fetch them, which checks
# their signatures, with the libraries that a small system has not, and are unpacked, not
# installed.
#
#   scripts/fetch-redis.sh [DIR]      default: target/redis
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
place=${1:-${CARGO_TARGET_DIR:-$root/target}/redis}
packages=(redis-tools redis-server libjemalloc2 liblzf1 libatomic1)

if ! [ -x "$place/bin/redis-server" ]; then
    mkdir -p "$place"
    fetched=$(mktemp -d "$place/fetch.XXXXXX")
    trap 'rm -rf "$fetched"' EXIT
    # apt fetches as a user of its own where it can; the directory is ours.
    (cd "$fetched" && apt-get download --quiet --quiet -o APT::Sandbox::User=root "${packages[@]}" >&2)
    for package in "$fetched"/*.deb; do dpkg-deb --extract "$package" "$fetched/unpacked"; done
    rm -rf "$place/unpacked"
    mv "$fetched/unpacked" "$place/unpacked"
    mkdir -p "$fetched/bin"
    for name in redis-server redis-cli; do
        # shellcheck disable=SC2016 # expanded when it runs
        printf '#!/bin/sh\nhere=$(cd "$(dirname "$0")/.." && pwd)/unpacked\nLD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu) exec "$here/usr/bin/%s" "$@"\n' "$name" >"$fetched/bin/$name"
        chmod +x "$fetched/bin/$name"
    done
    # In one step, so that one that was interrupted leaves none.
    mv "$fetched/bin" "$place/bin"
fi
"$place/bin/redis-server" --version >&2
echo "$place/bin/redis-server"
