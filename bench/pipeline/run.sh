#!/usr/bin/env bash
# A run with nothing to do beside `dvc repro` with nothing to do, and what a pull request waits for.
#   bench/pipeline/run.sh [--rounds 15] [--pull-requests 5]
# DVC_PYTHON names a Python with the packages of interop/data-requirements.txt; without it, one is made in target/.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../venv.sh"
dvc_python
release_build
target=${CARGO_TARGET_DIR:-$root/target}
(cd "$root" && cargo build --quiet --locked -p modelgate-testing --example fake_github)
exec python3 "$root/bench/pipeline/pipeline.py" --modelgate "$modelgate" --dvc "$(dirname "$python")/dvc" \
    --github "$target/debug/examples/fake_github" "$@"
