# `just` lists the recipes. CI runs `.ci/run`, which does the same and installs what it needs.

set shell := ["bash", "-euo", "pipefail", "-c"]

[private]
default:
    @just --list --unsorted

# Everything a change has to pass.
check: fmt-check clippy test doc schema-check typos deny

# The tests.
test *arguments:
    cargo test --workspace {{arguments}}

# Kills commands at random moments, a thousand times.
torture rounds="1000":
    MODELGATE_TORTURE_ROUNDS={{rounds}} cargo test -p modelgate --test it torture

# The tests, faster, each in its own process.
nextest *arguments:
    cargo nextest run --workspace {{arguments}}

# The tests that compare with scikit-learn, onnxruntime, MLflow and DVC, and those on an S3 server, too.
test-interop: interop-venv
    MODELGATE_INTEROP_PYTHON="$PWD/target/interop-venv/bin/python" \
        MODELGATE_INTEROP_DATA_PYTHON="$PWD/target/interop-data-venv/bin/python" cargo test --workspace

# Writes the code in its one form.
fmt:
    cargo fmt --all

fmt-check:
    cargo fmt --all --check

clippy:
    cargo clippy --workspace --all-targets -- -D warnings

# The documentation of the crates.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Writes the JSON schema of modelgate.yaml from the types.
schema:
    mkdir -p schemas
    cargo run -q -- config schema > target/modelgate.schema.json
    mv target/modelgate.schema.json schemas/modelgate.schema.json

schema-check:
    cargo run -q -- config schema | diff - schemas/modelgate.schema.json

typos:
    typos

deny:
    cargo deny check

# Runs an example: `just run-example iris`.
run-example name="breast-cancer" *arguments:
    cargo run --release -- -C examples/{{name}} run {{arguments}}

# Removes what runs of the examples left.
clean-examples:
    for example in examples/*/modelgate.yaml; do \
        folder=$(dirname "$example"); \
        rm -rf "$folder/.modelgate" "$folder/outputs" "$folder/models" "$folder/baselines"; \
    done

# Time and quality beside Python, in the same run.
bench: bench-walking-skeleton bench-quality bench-evaluate bench-registry bench-pipeline

# The registry as its ledger grows.
bench-registry *arguments:
    bench/registry/run.sh {{arguments}}

bench-walking-skeleton *arguments:
    bench/walking-skeleton/run.sh {{arguments}}

bench-quality *arguments:
    bench/quality/run.sh {{arguments}}

bench-evaluate *arguments:
    bench/evaluate/run.sh {{arguments}}

# The tables of docs/gate-statistics.md.
gate-statistics:
    cargo run --release -q -p modelgate-pipeline --example gate_statistics

# Writes the generated pages of the book.
docs-generate:
    MODELGATE_UPDATE_DOCS=1 cargo test -q -p modelgate --test it documentation

# Forests and linear models beside scikit-learn.
bench-forest-linear *arguments:
    bench/learn/forest_linear.sh {{arguments}}

# A contract on a million rows beside pandera, and the memory of a run; fails when a figure is missed.
bench-data-contract *arguments:
    bench/data/contract.sh {{arguments}}

# Gradient boosting beside LightGBM, XGBoost and scikit-learn.
bench-boosting *arguments:
    bench/learn/boosting.sh {{arguments}}

# Snapshots of data beside openssl and DVC.
bench-data-snapshot *arguments:
    bench/data/snapshot.sh {{arguments}}

# A run with nothing to do beside DVC, and what a pull request waits for.
bench-pipeline *arguments:
    bench/pipeline/run.sh {{arguments}}

# The service beside FastAPI, ONNX Runtime and MLflow.
bench-serve *arguments:
    bench/serve/run.sh {{arguments}}

# Hostile graphs, models of LightGBM and XGBoost, and requests for ten minutes together, from corpora; needs cargo-fuzz.
# Nothing of a nightly compiler but its flags is used.
fuzz seconds="600":
    cd fuzz && for target in onnx lightgbm xgboost request; do \
        RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir . $target -- \
            -max_total_time=$(( {{seconds}} / 4 )) -max_len=65536 -rss_limit_mb=2048; \
    done

# Compares the shipped data with what scikit-learn's wheel gives.
check-data:
    test -x target/data-venv/bin/python || python3 -m venv target/data-venv
    target/data-venv/bin/pip install -q scikit-learn==1.9.1
    target/data-venv/bin/python scripts/export_sklearn_data.py --check

interop-venv:
    test -x target/interop-venv/bin/python || python3 -m venv target/interop-venv
    target/interop-venv/bin/pip install -q -r interop/requirements.txt
    test -x target/interop-data-venv/bin/python || python3 -m venv target/interop-data-venv
    target/interop-data-venv/bin/pip install -q -r interop/data-requirements.txt

# What CI runs.
ci:
    .ci/run

# Installs what `check` uses and a toolchain does not bring.
tools:
    cargo install --locked cargo-deny@0.20.2 cargo-nextest@0.9.143 cargo-fuzz@0.13.1 typos-cli@1.42.3
