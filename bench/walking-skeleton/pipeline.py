#!/usr/bin/env python3
"""The steps of `modelgate run` on Breast Cancer, written in Python with scikit-learn, MLflow and matplotlib.

Reads the CSV and its digest, takes the rows of a split, imputes by the median, trains a forest of 100 trees, logs and
registers the model with MLflow on SQLite, loads it back, scores it on validation and test, judges it, moves the
`champion` alias, draws the confusion matrix as SVG and PNG and writes the reports.

Prints one JSON object: seconds from the first line of this file with imports, and without them.
"""

import time

STARTED = time.perf_counter()

import argparse
import hashlib
import json
import os
from pathlib import Path

# Nothing is sent anywhere while we measure.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
import sklearn
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

IMPORTED = time.perf_counter()

NAME = "breast-cancer"


def split_rows(path: Path | None, target: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Returns the rows of a split that modelgate wrote, or scikit-learn's own of the same shares."""
    if path is not None:
        rows = json.loads(path.read_text())
        return {part: np.array(rows[part]) for part in ("train", "validation", "test")}
    everything = np.arange(len(target))
    train, rest = train_test_split(everything, train_size=0.7, stratify=target, random_state=seed)
    validation, test = train_test_split(rest, train_size=0.5, stratify=target[rest], random_state=seed)
    return {"train": train, "validation": validation, "test": test}


def figures(model, features: pd.DataFrame, target: np.ndarray) -> dict[str, float]:
    predicted = model.predict(features)
    probabilities = model.predict_proba(features)
    found = {"accuracy": accuracy_score(target, predicted), "log_loss": log_loss(target, probabilities)}
    for suffix, average in (("", "weighted"), ("_macro", "macro")):
        found[f"precision{suffix}"] = precision_score(target, predicted, average=average)
        found[f"recall{suffix}"] = recall_score(target, predicted, average=average)
        found[f"f1{suffix}"] = f1_score(target, predicted, average=average)
    found["roc_auc"] = roc_auc_score(target, probabilities[:, 1])
    return {name: float(value) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="breast_cancer.csv")
    parser.add_argument("--split", type=Path, help="split.json of a modelgate run; its own split by default")
    parser.add_argument("--work", type=Path, required=True, help="where database, artefacts and reports go")
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    outputs = arguments.work / "outputs"
    outputs.mkdir(parents=True, exist_ok=True)

    digest = hashlib.sha256(arguments.data.read_bytes()).hexdigest()
    table = pd.read_csv(arguments.data)
    target = table.pop("target").to_numpy()
    rows = split_rows(arguments.split, target, arguments.seed)
    parameters = {"n_estimators": 100, "random_state": arguments.seed}

    database = f"sqlite:///{arguments.work / 'mlflow.db'}"
    mlflow.set_tracking_uri(database)
    mlflow.set_registry_uri(database)
    if mlflow.get_experiment_by_name(NAME) is None:
        mlflow.create_experiment(NAME, artifact_location=(arguments.work / "artifacts").as_uri())
    mlflow.set_experiment(NAME)
    client = MlflowClient()

    with mlflow.start_run() as run:
        forest = RandomForestClassifier(**parameters)
        model = Pipeline([("impute", SimpleImputer(strategy="median")), ("forest", forest)])
        model.fit(table.iloc[rows["train"]], target[rows["train"]])

        mlflow.log_params(parameters | {"missing": "median", "dataset_sha256": digest})
        sample = table.iloc[rows["train"][:5]]
        # Requirements are given: to infer them MLflow would start a second Python, for several seconds.
        # cloudpickle, as skops refuses to load trees again.
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(sample, model.predict(sample)),
            pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
            serialization_format="cloudpickle",
        )

        loaded = mlflow.sklearn.load_model(logged.model_uri)
        subsets = {}
        for part in ("validation", "test"):
            features, actual = table.iloc[rows[part]], target[rows[part]]
            metrics = figures(loaded, features, actual)
            confusion = confusion_matrix(actual, loaded.predict(features))
            subsets[part] = {"rows": len(actual), "metrics": metrics, "confusion": confusion.tolist()}
            mlflow.log_metrics({f"{part}_{name}": value for name, value in metrics.items()})

        accuracy = subsets["validation"]["metrics"]["accuracy"]
        passed = accuracy >= 0.90
        sentence = f"accuracy on validation is {accuracy:.4f}, at least 0.90 is asked"
        version = mlflow.register_model(logged.model_uri, NAME)
        client.set_model_version_tag(NAME, version.version, "verdict", "passed" if passed else "failed")
        if passed:
            client.set_registered_model_alias(NAME, "champion", version.version)

        display = ConfusionMatrixDisplay(np.array(subsets["validation"]["confusion"])).plot(colorbar=False)
        for suffix in ("svg", "png"):
            display.figure_.savefig(outputs / f"confusion_matrix.{suffix}")
        plt.close(display.figure_)

        reports = {
            "run_report": {"run": run.info.run_id, "dataset": digest, "seed": arguments.seed, "parameters": parameters},
            "evaluation_report": {"classes": ["0", "1"], "subsets": subsets},
            "verdict": {"verdict": "passed" if passed else "failed", "sentence": sentence},
            "promotion_decision": {"version": version.version, "promoted": passed},
        }
        for name, report in reports.items():
            (outputs / f"{name}.json").write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
        lines = [f"# {NAME} {version.version}", "", sentence, "", "| metric | validation | test |", "|---|---|---|"]
        for name, value in sorted(subsets["validation"]["metrics"].items()):
            lines.append(f"| {name} | {value:.4f} | {subsets['test']['metrics'][name]:.4f} |")
        (outputs / "report.md").write_text("\n".join(lines) + "\n")

    ended = time.perf_counter()
    print(json.dumps({"with_imports": ended - STARTED, "without_imports": ended - IMPORTED, "accuracy": accuracy}))


if __name__ == "__main__":
    main()
