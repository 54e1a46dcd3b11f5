#!/usr/bin/env bash
# Traces the daemon's system calls while objects are created, and checks that no answer
# leaves before a sync of the store that began after the object's bytes were written has
# returned. Needs strace, curl and Python 3; exit code 77 where they are not to be had.
#
#   scripts/fsync-order.sh [WASMJOB]      default: target/debug/wasmjob
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
wasmjob=$(realpath "${1:-$root/target/debug/wasmjob}")
for tool in strace curl python3; do
    command -v "$tool" >/dev/null || { echo "$tool is not here" >&2; exit 77; }
done
dir=$(mktemp -d)
trap 'kill "$tracer" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT

strace -f -yy -o "$dir/trace" -e trace=fdatasync,fsync,pwrite64,writev,sendto \
    "$wasmjob" serve --data-dir "$dir/d" --listen none >"$dir/out" 2>&1 &
tracer=$!
for _ in $(seq 100); do
    curl -sf --unix-socket "$dir/d/wasmjob.sock" http://x/readyz >/dev/null 2>&1 && break
    sleep 0.1
done
for n in $(seq 200); do
    curl -sf --unix-socket "$dir/d/wasmjob.sock" -H 'content-type: application/json' -o /dev/null \
        http://x/api/v1/namespaces/default/configmaps \
        -d "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c$n\"}}"
done
# The daemon is the tracer's child: it ends in order, and the trace is whole.
pkill -TERM -P "$tracer"
wait "$tracer" || true

python3 - "$dir/trace" <<'PYTHON'
import re, sys

begun, events = {}, []
for number, line in enumerate(open(sys.argv[1], errors="replace")):
    found = re.match(r"(\d+) +(.*)", line)
    if not found:
        continue
    thread, call = found.groups()
    what = re.match(r"(fdatasync|fsync|pwrite64)\(\d+<[^>]*store\.redb>", call)
    if what and "unfinished" in call:
        begun[thread] = (number, what[1])
    elif what:
        events.append((number, number, what[1]))
    elif "resumed>" in call and thread in begun:
        start, name = begun.pop(thread)
        events.append((start, number, name))
    elif "201 Created" in call:
        events.append((number, number, "reply"))
replies = sorted(at for at, _, what in events if what == "reply")
early, before = 0, 0
for reply in replies:
    written = [end for start, end, what in events if what == "pwrite64" and before < start < reply]
    synced = [1 for start, end, what in events
              if what in ("fdatasync", "fsync") and written and start > min(written) and end < reply]
    early += not synced
    before = reply
print(f"{len(replies)} answers, {early} of them before their object was synced")
sys.exit(bool(early) or len(replies) < 200)
PYTHON
