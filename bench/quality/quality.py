#!/usr/bin/env python3
"""Scores modelgate and scikit-learn on the same test rows, with the same settings, over many split seeds.

For each seed modelgate runs up to `evaluate`; scikit-learn is then trained on the training rows of the split that
modelgate wrote and scored on its test rows. Prints each mean, the difference and its standard error.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, f1_score, r2_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
LARGEST_LOSS = 0.01


def imputed(model) -> Callable[[pd.DataFrame], Pipeline]:
    """Every column is a number: the median, then the model."""
    return lambda features: make_pipeline(SimpleImputer(strategy="median"), model)


def scaled_and_ordinal(model) -> Callable[[pd.DataFrame], Pipeline]:
    """Numbers: the median, then scaled. Text: the rank, -1 for what training did not see."""

    def build(features: pd.DataFrame) -> Pipeline:
        numbers = list(features.select_dtypes("number").columns)
        texts = [column for column in features.columns if column not in numbers]
        columns = ColumnTransformer([
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("texts", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), texts),
        ])
        return make_pipeline(columns, model)

    return build


@dataclass(frozen=True)
class Case:
    """One example, its figure and scikit-learn's part of it."""

    example: str
    file: str
    shipped: bool
    target: str
    dropped: tuple[str, ...]
    metric: str
    score: Callable[[np.ndarray, np.ndarray], float]
    peer: Callable[[int], Callable[[pd.DataFrame], Pipeline]]
    at_least: float | None = None


CASES = (
    Case(
        example="breast-cancer",
        file="breast_cancer.csv",
        shipped=True,
        target="target",
        dropped=(),
        metric="accuracy",
        score=accuracy_score,
        peer=lambda seed: imputed(RandomForestClassifier(n_estimators=100, random_state=seed, n_jobs=-1)),
        at_least=0.94,
    ),
    Case(
        example="king-county",
        file="kc_house_data.csv",
        shipped=False,
        target="price",
        dropped=("id", "date"),
        metric="r2",
        score=r2_score,
        peer=lambda seed: imputed(
            RandomForestRegressor(n_estimators=100, max_depth=10, random_state=seed, n_jobs=-1)
        ),
    ),
    Case(
        example="drug-classification",
        file="drug200.csv",
        shipped=False,
        target="Drug",
        dropped=(),
        metric="f1_macro",
        score=lambda actual, predicted: f1_score(actual, predicted, average="macro"),
        peer=lambda seed: scaled_and_ordinal(RandomForestClassifier(n_estimators=100, random_state=seed, n_jobs=-1)),
    ),
)


def find_data(case: Case) -> Path | None:
    if case.shipped:
        return EXAMPLES / case.example / "data" / "raw" / case.file
    folder = os.environ.get("MODELGATE_TEST_DATA")
    path = Path(folder) / "tabular" / case.file if folder else None
    return path if path is not None and path.is_file() else None


def run_modelgate(modelgate: Path, case: Case, project: Path, seed: int) -> tuple[dict[str, list[int]], float]:
    """Returns the split's rows and the figure on its test rows."""
    command = [modelgate, "-C", project, "run", "--until", "evaluate"]
    environment = os.environ | {"MODELGATE_SEED": str(seed)}
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, env=environment
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    outputs = project / "outputs" / case.example
    split = json.loads((outputs / "split.json").read_text())
    report = json.loads((outputs / "evaluation_report.json").read_text())
    subset = report["subsets"]["test"]
    if subset["rows"] != len(split["test"]):
        raise SystemExit(f"{case.example}, seed {seed}: {subset['rows']} rows scored, {len(split['test'])} in the split")
    return split, subset["metrics"][case.metric]


def run_peer(case: Case, table: pd.DataFrame, split: dict[str, list[int]], seed: int) -> float:
    features = table.drop(columns=[case.target, *case.dropped])
    target = table[case.target].to_numpy()
    train, test = np.array(split["train"]), np.array(split["test"])
    if np.intersect1d(train, test).size or len(np.unique(np.concatenate(list(map(np.array, split.values()))))) != len(table):
        raise SystemExit(f"{case.example}, seed {seed}: the parts of the split overlap or leave rows out")
    model = case.peer(seed)(features)
    model.fit(features.iloc[train], target[train])
    return float(case.score(target[test], model.predict(features.iloc[test])))


def compare(case: Case, modelgate: Path, seeds: int) -> bool | None:
    """Prints one line; returns whether the targets are reached, or nothing when there is no data."""
    data = find_data(case)
    if data is None:
        print(f"NOT JUDGED  {case.example}: `{case.file}` is not in $MODELGATE_TEST_DATA/tabular", flush=True)
        return None
    table = pd.read_csv(data)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="modelgate-bench-") as name:
        project = Path(name)
        raw = project / "data" / "raw"
        raw.mkdir(parents=True)
        shutil.copy(data, raw / case.file)
        shutil.copy(EXAMPLES / case.example / "modelgate.yaml", project)
        splits = set()
        for seed in range(seeds):
            split, figure = run_modelgate(modelgate, case, project, seed)
            splits.add(tuple(split["test"]))
            ours.append(figure)
            theirs.append(run_peer(case, table, split, seed))
    if len(splits) != seeds:
        raise SystemExit(f"{case.example}: {seeds} seeds gave {len(splits)} different splits")
    mean, difference = statistics.fmean(ours), statistics.fmean(ours) - statistics.fmean(theirs)
    differences = [one - other for one, other in zip(ours, theirs, strict=True)]
    error = statistics.stdev(differences) / math.sqrt(seeds) if seeds > 1 else math.nan
    reached = difference >= -LARGEST_LOSS and (case.at_least is None or mean >= case.at_least)
    print(
        f"{'reached' if reached else 'MISSED':<8} {case.example:<20} {case.metric:<9} modelgate {mean:.4f}"
        f"   scikit-learn {statistics.fmean(theirs):.4f}   difference {difference:+.4f} ± {error:.4f}   seeds {seeds}",
        flush=True,
    )
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modelgate", type=Path, required=True, help="the binary")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", choices=[case.example for case in CASES], action="append")
    parser.add_argument("--allow-missing-data", action="store_true", help="an example without its data does not fail")
    arguments = parser.parse_args()
    wanted = [case for case in CASES if not arguments.only or case.example in arguments.only]
    results = [compare(case, arguments.modelgate.resolve(), arguments.seeds) for case in wanted]
    return 1 if False in results or (None in results and not arguments.allow_missing_data) else 0


if __name__ == "__main__":
    sys.exit(main())
