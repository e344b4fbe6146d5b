# Sourced by the benchmarks: sets `root`, `python` (a pinned venv in target/) and `modelgate` (a release build).
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/target/bench-venv
if ! cmp -s "$root/bench/requirements.txt" "$venv/requirements.txt"; then
    rm -rf "$venv"
    mkdir -p "$root/target"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r "$root/bench/requirements.txt"
    cp "$root/bench/requirements.txt" "$venv/requirements.txt"
fi
python=$venv/bin/python
# MODELGATE names another binary to measure.
if [[ -z ${MODELGATE:-} ]]; then
    (cd "$root" && cargo build --quiet --release --locked -p modelgate)
    modelgate=${CARGO_TARGET_DIR:-$root/target}/release/modelgate
else
    modelgate=$MODELGATE
fi
