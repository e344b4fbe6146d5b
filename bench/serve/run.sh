#!/usr/bin/env bash
# `modelgate serve` beside FastAPI, ONNX Runtime and MLflow; see serve.py for the options. Needs wrk (Debian: wrk).
#   bench/serve/run.sh [--rounds 5] [--cases iris,hgb] [--rows 1,100] [--peers fastapi-sklearn,fastapi-onnx,mlflow]
#   bench/serve/run.sh --soak 600        # 70 % of the peak with a reload each second
#   bench/serve/run.sh --reloads 100     # reloads one after the other under full load
#   bench/serve/run.sh --rollbacks 5     # from a rollback to the first answer of the version before
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if ! command -v wrk >/dev/null; then
    echo "wrk is not installed" >&2
    exit 1
fi
venv=$root/target/bench-serve-venv
if ! cmp -s "$root/bench/serve/requirements.txt" "$venv/requirements.txt"; then
    rm -rf "$venv"
    mkdir -p "$root/target"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r "$root/bench/serve/requirements.txt"
    cp "$root/bench/serve/requirements.txt" "$venv/requirements.txt"
fi
if [[ -z ${MODELGATE:-} ]]; then
    (cd "$root" && cargo build --quiet --release --locked -p modelgate)
    MODELGATE=${CARGO_TARGET_DIR:-$root/target}/release/modelgate
fi
export OPEN_LOOP=$root/target/open_loop
if [[ $root/bench/serve/open_loop.rs -nt $OPEN_LOOP ]]; then
    rustc -O --edition 2024 "$root/bench/serve/open_loop.rs" -o "$OPEN_LOOP"
fi
exec "$venv/bin/python" "$root/bench/serve/serve.py" --binary "$MODELGATE" "$@"
