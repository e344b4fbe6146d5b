#!/usr/bin/env bash
# Times the registry as its ledger grows: bench/registry/run.sh [EVENTS…]; 1k to 1M by default.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --quiet -p modelgate
cargo build --release --quiet -p modelgate-registry --example grow_ledger
exec python3 bench/registry/registry.py "${@:-1000 10000 100000 1000000}"
