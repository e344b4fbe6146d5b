#!/usr/bin/env bash
# Snapshots of one large file and of many small ones: modelgate, openssl and DVC.
#   bench/data/snapshot.sh [--rounds 5]
# DVC_PYTHON names a Python with the packages of interop/data-requirements.txt; without it, one is made in target/.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../venv.sh"
dvc_python
release_build
exec python3 "$root/bench/data/snapshot.py" --modelgate "$modelgate" --python "$python" "$@"
