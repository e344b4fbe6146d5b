#!/usr/bin/env bash
# Snapshots of one large file and of many small ones: modelgate, openssl and DVC.
#   bench/data/snapshot.sh [--rounds 5]
# DVC_PYTHON names a Python with the packages of interop/data-requirements.txt; without it, one is made in target/.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dvc_python=${DVC_PYTHON:-}
if [[ -z $dvc_python ]]; then
    venv=$root/target/interop-data-venv
    if ! cmp -s "$root/interop/data-requirements.txt" "$venv/requirements.txt"; then
        rm -rf "$venv"
        mkdir -p "$root/target"
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r "$root/interop/data-requirements.txt"
        cp "$root/interop/data-requirements.txt" "$venv/requirements.txt"
    fi
    dvc_python=$venv/bin/python
fi
# MODELGATE names another binary to measure.
if [[ -z ${MODELGATE:-} ]]; then
    (cd "$root" && cargo build --quiet --release --locked -p modelgate)
    MODELGATE=${CARGO_TARGET_DIR:-$root/target}/release/modelgate
fi
exec python3 "$root/bench/data/snapshot.py" --modelgate "$MODELGATE" --python "$dvc_python" "$@"
