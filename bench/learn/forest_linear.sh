#!/usr/bin/env bash
# Random forest, logistic regression and ridge beside scikit-learn; see forest_linear.py for the options.
#   bench/learn/forest_linear.sh [--rounds 5] [--threads 1,2] [--cases forest,logistic,ridge,regression-forest]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../venv.sh"
pinned_python bench-venv bench/requirements.txt
# The engine is measured without the binary around it.
(cd "$root" && cargo build --quiet --release --locked -p modelgate-learn --example bench_forest_linear)
binary=${CARGO_TARGET_DIR:-$root/target}/release/examples/bench_forest_linear
exec "$python" "$root/bench/learn/forest_linear.py" --binary "$binary" "$@"
