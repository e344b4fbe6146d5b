#!/usr/bin/env bash
# A contract on 1,000,000 rows: modelgate and pandera, reading included; and the memory of a run up to its split.
#   bench/data/contract.sh [--rounds 5] [--rows 1000000]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=$root/target/bench-data-venv
wanted=$root/bench/data/requirements.txt
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
    rm -rf "$venv"
    mkdir -p "$root/target"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/requirements.txt"
fi
# MODELGATE names another binary to measure.
if [[ -z ${MODELGATE:-} ]]; then
    (cd "$root" && cargo build --quiet --release --locked -p modelgate)
    MODELGATE=${CARGO_TARGET_DIR:-$root/target}/release/modelgate
fi
exec "$venv/bin/python" "$root/bench/data/contract.py" --modelgate "$MODELGATE" "$@"
