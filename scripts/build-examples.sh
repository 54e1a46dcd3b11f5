#!/usr/bin/env bash
# Rebuilds the guests of wasm-examples/ from their sources.
#
#   scripts/build-examples.sh            build and replace the committed modules
#   scripts/build-examples.sh --check    build elsewhere and compare, byte for byte
#   scripts/build-examples.sh --only X   only the guest X (with or without --check)
#
# The Rust guests are built by Debian 13's own rustc in a chroot, the C guest by
# zig from PyPI, and the component is linked by wasm-component-ld from crates.io:
# all from public registries, as this machine's apt, pip and cargo are set up to
# reach them. The first run takes about six minutes and 2.3 GB of disk, and needs root (debootstrap,
# chroot), debootstrap, python3 with pip, and cargo.
#
# What makes it reproducible: pinned versions, checked below; sources copied to
# one fixed path inside of the chroot; one codegen unit; no debug info; no
# dependencies but std. WASMJOB_TOOLCHAIN chooses where the toolchain is kept.
set -euo pipefail

suite=trixie
rustc_version=1.85.1
lld=lld-19
binaryen_version=120
zig_version=0.17.0
component_ld_version=0.5.31

root=$(cd "$(dirname "$0")/.." && pwd)
examples=$root/wasm-examples
toolchain=${WASMJOB_TOOLCHAIN:-${TMPDIR:-/tmp}/wasmjob-guest-toolchain}
chroot_dir=$toolchain/$suite
check=false
only=

say() { printf '== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        --check) check=true ;;
        --only) [ $# -ge 2 ] || die "--only needs the name of a guest"; only=$2; shift ;;
        *) die "unknown argument \`$1\`; see the head of $0" ;;
    esac
    shift
done

# name            kind        built from guests/<name>
guests='hello     rust
pi                rust
wordcount         rust
flaky             rust
endless           rust
hungry            rust
busybox           rust
c-hello           c
component         component
net               component
http              component
redis-backup      component'

wanted() { # kind -> the names of that kind that are to be built
    awk -v kind="$1" -v only="$only" '$2 == kind && (only == "" || $1 == only) { print $1 }' <<<"$guests"
}

require() {
    command -v "$1" >/dev/null || die "\`$1\` is missing: $2"
}

# The mirror that this machine's own apt uses for the Debian archive.
mirror() {
    {
        sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null || true
        sed -n 's/^deb[[:space:]]\(\[[^]]*\][[:space:]]*\)\{0,1\}\([^[:space:]]*\).*/\2/p' \
            /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true
    } | grep -E '/debian/?$' | head -n 1
}

in_chroot() {
    env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH=0 CARGO_NET_OFFLINE=true \
        chroot "$chroot_dir" "$@"
}

rust_toolchain() {
    if [ ! -e "$chroot_dir/.ready" ]; then
        [ "$(id -u)" = 0 ] || die "debootstrap and chroot need root"
        require debootstrap "apt-get install debootstrap"
        local uri
        uri=$(mirror)
        [ -n "$uri" ] || die "found no Debian archive in /etc/apt/sources.list or /etc/apt/sources.list.d"
        say "debootstrap $suite into $chroot_dir"
        rm -rf "$chroot_dir"
        mkdir -p "$toolchain"
        debootstrap --variant=minbase "$suite" "$chroot_dir" "$uri" >"$toolchain/debootstrap.log" 2>&1 \
            || die "debootstrap failed; see $toolchain/debootstrap.log"
        cp /etc/resolv.conf "$chroot_dir/etc/resolv.conf"
        say "apt-get install rustc cargo libstd-rust-dev-wasm32 $lld binaryen"
        in_chroot sh -c "apt-get update && apt-get install -y --no-install-recommends \
            rustc cargo libstd-rust-dev-wasm32 $lld binaryen" >"$toolchain/apt.log" 2>&1 \
            || die "apt-get failed; see $toolchain/apt.log"
        # What Debian's rustc and wasm-component-ld call the linker.
        ln -sf "/usr/bin/wasm-ld-${lld#lld-}" "$chroot_dir/usr/local/bin/rust-lld"
        ln -sf "/usr/bin/wasm-ld-${lld#lld-}" "$chroot_dir/usr/local/bin/wasm-ld"
        touch "$chroot_dir/.ready"
    fi
    local found
    found=$(in_chroot rustc --version)
    case $found in
        "rustc $rustc_version "*) say "$found" ;;
        *) die "expected rustc $rustc_version in $suite, found \`$found\`" ;;
    esac
    found=$(in_chroot wasm-opt --version)
    case $found in
        "wasm-opt version $binaryen_version"*) say "$found" ;;
        *) die "expected wasm-opt $binaryen_version in $suite, found \`$found\`" ;;
    esac
}

zig() {
    if [ ! -e "$toolchain/zig-$zig_version/.ready" ]; then
        require python3 "the C guest is built by zig, which comes from PyPI"
        say "pip install ziglang==$zig_version"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --upgrade \
            --target "$toolchain/zig-$zig_version" "ziglang==$zig_version"
        touch "$toolchain/zig-$zig_version/.ready"
    fi
    ZIG_GLOBAL_CACHE_DIR=$toolchain/zig-cache ZIG_LOCAL_CACHE_DIR=$toolchain/zig-cache \
        PYTHONPATH=$toolchain/zig-$zig_version python3 -m ziglang "$@"
}

component_linker() {
    local prefix=$toolchain/wasm-component-ld-$component_ld_version
    if [ ! -x "$prefix/bin/wasm-component-ld" ]; then
        require cargo "the component is linked by wasm-component-ld, which comes from crates.io"
        say "cargo install wasm-component-ld $component_ld_version"
        (cd "$toolchain" && CARGO_TARGET_DIR=$toolchain/cargo-target cargo install --quiet --locked \
            --root "$prefix" --version "=$component_ld_version" wasm-component-ld)
    fi
    # Built for this machine's libc, which is older than the chroot's or the same.
    cp "$prefix/bin/wasm-component-ld" "$chroot_dir/usr/local/bin/wasm-component-ld"
}

# Builds the packages $2… for the target $1 into $out.
cargo_build() {
    local target=$1
    shift
    say "cargo build --target $target: $*"
    # A fixed path, so that no path of this machine can reach a module.
    rm -rf "$chroot_dir/src/guests"
    mkdir -p "$chroot_dir/src"
    cp -r "$examples/guests" "$chroot_dir/src/guests"
    local packages=()
    for name in "$@"; do packages+=(-p "$name"); done
    in_chroot sh -c 'cd /src/guests && rm -rf "target/$1" && exec cargo build --quiet --release --locked --target "$@"' \
        cargo "$target" "${packages[@]}"
    for name in "$@"; do
        mkdir -p "$out/$name"
        local built=/src/guests/target/$target/release/$name.wasm
        # A component is not what wasm-opt understands.
        if [ "$target" = wasm32-wasip1 ]; then
            # The features that rustc uses; a stripped module does not tell them.
            in_chroot wasm-opt -Oz --enable-bulk-memory --enable-sign-ext --enable-mutable-globals \
                --enable-nontrapping-float-to-int --enable-multivalue --enable-reference-types \
                "$built" -o "$built"
        fi
        cp "$chroot_dir$built" "$out/$name/$name.wasm"
    done
}

build_c() {
    say "zig cc: $1"
    mkdir -p "$out/$1"
    # Relative names only: the path of the checkout must not matter.
    (cd "$examples/guests/$1" && zig cc -target wasm32-wasi -Os -s -Wall -Wextra -Werror -o "$out/$1/$1.wasm" main.c)
}

mkdir -p "$toolchain"
out=$(mktemp -d "$toolchain/out.XXXXXX")
trap 'rm -rf "$out"' EXIT

# shellcheck disable=SC2046 # the names have no blanks
{
    if [ -n "$(wanted rust)$(wanted component)" ]; then rust_toolchain; fi
    if [ -n "$(wanted rust)" ]; then cargo_build wasm32-wasip1 $(wanted rust); fi
    if [ -n "$(wanted component)" ]; then
        component_linker
        cargo_build wasm32-wasip2 $(wanted component)
    fi
    for name in $(wanted c); do build_c "$name"; done
}

failed=0
for name in $(wanted rust) $(wanted c) $(wanted component); do
    built=$out/$name/$name.wasm
    committed=$examples/$name/$name.wasm
    sum=$(sha256sum <"$built" | cut -d' ' -f1)
    if ! $check; then
        mkdir -p "$examples/$name"
        cp "$built" "$committed"
        chmod 644 "$committed"
        printf '%s  %8d bytes  %s\n' "$sum" "$(stat -c %s "$built")" "$name"
    elif cmp -s "$built" "$committed"; then
        printf '%s  same       %s\n' "$sum" "$name"
    else
        printf '%s  DIFFERENT  %s\n' "$sum" "$name"
        failed=1
    fi
done
[ "$failed" = 0 ] || die "some committed modules do not come from these sources"
