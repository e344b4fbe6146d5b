#!/usr/bin/env bash
# A run with nothing to do beside `dvc repro` with nothing to do, and what a pull request waits for.
#   bench/pipeline/run.sh [--rounds 15] [--pull-requests 5]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# DVC_PYTHON names a Python with the packages of interop/data-requirements.txt; without it, one is made in target/.
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
target=${CARGO_TARGET_DIR:-$root/target}
if [[ -z ${MODELGATE:-} ]]; then
    (cd "$root" && cargo build --quiet --release --locked -p modelgate)
    MODELGATE=$target/release/modelgate
fi
(cd "$root" && cargo build --quiet --locked -p modelgate-testing --example fake_github)
exec python3 "$root/bench/pipeline/pipeline.py" --modelgate "$MODELGATE" --dvc "$(dirname "$dvc_python")/dvc" \
    --github "$target/debug/examples/fake_github" "$@"
