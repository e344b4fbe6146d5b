#!/usr/bin/env bash
# Gradient boosting beside LightGBM, XGBoost and scikit-learn; see boosting.py for the options.
#   bench/learn/boosting.sh [--rounds 5] [--threads 1,2] [--cases binary-1m,regression-500k,binary-100k,small,files]
#                           [--growth 100000,1000000,10000000] [--ours-only]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../venv.sh"
pinned_python bench-venv bench/requirements.txt
"$python" -m pip install --quiet --no-input -r "$root/bench/learn/requirements.txt"
# The engine is measured without the binary around it.
(cd "$root" && cargo build --quiet --release --locked -p modelgate-learn --example bench_forest_linear)
binary=${CARGO_TARGET_DIR:-$root/target}/release/examples/bench_forest_linear
exec "$python" "$root/bench/learn/boosting.py" --binary "$binary" "$@"
