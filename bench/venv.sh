# Sourced by the benchmarks: sets `root`, and has what each of them needs made once and kept in target/.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Sets `python` to that of the venv target/NAME with exactly the packages of a file: pinned_python NAME REQUIREMENTS
pinned_python() {
    local venv=$root/target/$1 wanted=$root/$2
    # A kept venv is used again only if it was finished from these very requirements.
    if ! cmp -s "$wanted" "$venv/requirements.txt"; then
        rm -rf "$venv"
        mkdir -p "$root/target"
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r "$wanted"
        cp "$wanted" "$venv/requirements.txt"
    fi
    python=$venv/bin/python
}

# Sets `python` to DVC_PYTHON, which has the packages of interop/data-requirements.txt; without it, one is made.
dvc_python() {
    if [[ -n ${DVC_PYTHON:-} ]]; then
        python=$DVC_PYTHON
    else
        pinned_python interop-data-venv interop/data-requirements.txt
    fi
}

# Sets `modelgate` to a release build; MODELGATE names another binary to measure.
release_build() {
    if [[ -z ${MODELGATE:-} ]]; then
        (cd "$root" && cargo build --quiet --release --locked -p modelgate)
        modelgate=${CARGO_TARGET_DIR:-$root/target}/release/modelgate
    else
        modelgate=$MODELGATE
    fi
}
