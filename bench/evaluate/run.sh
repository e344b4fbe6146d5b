#!/usr/bin/env bash
# All binary metrics with bootstrap intervals beside scikit-learn, and the time of plots and report.
#   bench/evaluate/run.sh [--rows 1000000] [--rounds 1000] [--peer-rounds 5]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../venv.sh"
pinned_python bench-venv bench/requirements.txt
release_build
(cd "$root" && cargo build --quiet --release --locked -p modelgate-evaluate --example intervals)
intervals=${CARGO_TARGET_DIR:-$root/target}/release/examples/intervals
exec "$python" "$root/bench/evaluate/evaluate.py" --modelgate "$modelgate" --intervals "$intervals" "$@"
