#!/usr/bin/env bash
# A contract on 1,000,000 rows: modelgate and pandera, reading included; and the memory of a run up to its split.
#   bench/data/contract.sh [--rounds 5] [--rows 1000000]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../venv.sh"
pinned_python bench-data-venv bench/data/requirements.txt
release_build
exec "$python" "$root/bench/data/contract.py" --modelgate "$modelgate" "$@"
