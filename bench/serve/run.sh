#!/usr/bin/env bash
# `modelgate serve` beside FastAPI, ONNX Runtime and MLflow; see serve.py for the options. Needs wrk (Debian: wrk).
#   bench/serve/run.sh [--rounds 5] [--cases iris,hgb] [--rows 1,100] [--peers fastapi-sklearn,fastapi-onnx,mlflow]
#   bench/serve/run.sh --soak 600        # 70 % of the peak with a reload each second
#   bench/serve/run.sh --reloads 100     # reloads one after the other under full load
#   bench/serve/run.sh --rollbacks 5     # from a rollback to the first answer of the version before
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../venv.sh"
if ! command -v wrk >/dev/null; then
    echo "wrk is not installed" >&2
    exit 1
fi
pinned_python bench-serve-venv bench/serve/requirements.txt
release_build
export OPEN_LOOP=$root/target/open_loop FLOOR=$root/target/floor
for tool in open_loop floor; do
    if [[ $root/bench/serve/$tool.rs -nt $root/target/$tool ]]; then
        rustc -O --edition 2024 "$root/bench/serve/$tool.rs" -o "$root/target/$tool"
    fi
done
exec "$python" "$root/bench/serve/serve.py" --binary "$modelgate" "$@"
