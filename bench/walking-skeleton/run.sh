#!/usr/bin/env bash
# Wall time of a whole run on Breast Cancer: modelgate, and the same steps in Python.
#   bench/walking-skeleton/run.sh [--rounds 7] [--no-op-rounds 20]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../venv.sh"
pinned_python bench-venv bench/requirements.txt
release_build
exec "$python" "$root/bench/walking-skeleton/compare.py" --modelgate "$modelgate" "$@"
