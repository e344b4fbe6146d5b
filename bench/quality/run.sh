#!/usr/bin/env bash
# Quality beside scikit-learn on the same rows and settings, over 20 split seeds.
#   MODELGATE_TEST_DATA=… bench/quality/run.sh [--seeds 20] [--only NAME]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../venv.sh"
pinned_python bench-venv bench/requirements.txt
release_build
exec "$python" "$root/bench/quality/quality.py" --modelgate "$modelgate" "$@"
