"""Writes metrics.json: inputs, and what scikit-learn 1.9.1 makes of them.

Needs: pip install scikit-learn==1.9.1. Run: python make_reference.py
"""
import json
from pathlib import Path

import numpy as np
from sklearn import metrics

rng = np.random.default_rng(20260101)
cases = []


def classification(name, labels, probabilities, classes):
    probabilities = np.asarray(probabilities, dtype=np.float32)
    wide = probabilities.astype(np.float64)
    predicted = wide.argmax(axis=1)
    everything = list(range(classes))
    expected = {"accuracy": metrics.accuracy_score(labels, predicted)}
    for average in ["weighted", "macro"]:
        for metric in ["precision", "recall", "f1"]:
            score = getattr(metrics, f"{metric}_score")
            expected[f"{metric}_{average}"] = score(labels, predicted, average=average, zero_division=0)
    present = np.unique(labels).size == classes
    if classes == 2:
        expected["roc_auc"] = metrics.roc_auc_score(labels, wide[:, 1]) if present else None
    elif present:
        area = lambda average: np.average(
            [metrics.roc_auc_score(labels == c, wide[:, c]) for c in everything],
            weights=[np.sum(labels == c) for c in everything] if average == "weighted" else None,
        )
        expected["roc_auc"], expected["roc_auc_macro"] = area("weighted"), area("macro")
    else:
        expected["roc_auc"] = None
    eps = np.finfo(np.float64).eps
    expected["log_loss"] = float(np.mean(-np.log(np.clip(wide[np.arange(len(labels)), labels], eps, 1 - eps))))
    rows_sum_to_one = np.allclose(wide.sum(axis=1), 1, rtol=1e-15, atol=0)
    if present and rows_sum_to_one:
        expected["log_loss"] = metrics.log_loss(labels, wide, labels=everything)
    cases.append({
        "name": name, "kind": "classification", "classes": classes, "labels": [int(x) for x in labels],
        "predicted": [int(x) for x in predicted], "probabilities": [float(x) for x in wide.ravel()],
        "confusion": metrics.confusion_matrix(labels, predicted, labels=everything).tolist(), "expected": expected,
    })


def exact(weights):
    """Probabilities in 256ths, so that a row of f32 sums to exactly one."""
    rows = []
    for row in weights:
        cuts = np.floor(row / row.sum() * 256)
        cuts[row.argmax()] += 256 - cuts.sum()
        rows.append(cuts / 256)
    return np.array(rows)


for size, classes in [(50, 2), (200, 3), (300, 10), (1000, 2)]:
    labels = rng.integers(0, classes, size)
    labels[:classes] = range(classes)
    weights = rng.random((size, classes)) + 1.2 * np.eye(classes)[labels] * (rng.random((size, 1)) > 0.3)
    classification(f"random_{size}_{classes}", labels, exact(weights), classes)
labels = np.array([0, 1] * 20)
classification("ties", labels, np.full((40, 2), 0.5), 2)
classification("perfect", labels, np.eye(2)[labels], 2)
classification("always_wrong", labels, np.eye(2)[1 - labels], 2)
labels = np.array([0] * 30 + [1] * 5 + [2])
classification("a_class_never_predicted", labels, exact(np.tile([0.7, 0.2, 0.1], (36, 1))), 3)
classification("a_class_without_rows", np.array([0, 1] * 10), exact(rng.random((20, 3))), 3)
classification("one_class_only", np.zeros(10, dtype=int), exact(rng.random((10, 2))), 2)


def regression(name, actual, predicted):
    expected = {
        "mae": metrics.mean_absolute_error(actual, predicted), "mse": metrics.mean_squared_error(actual, predicted),
        "rmse": metrics.root_mean_squared_error(actual, predicted),
        "median_ae": metrics.median_absolute_error(actual, predicted), "max_error": metrics.max_error(actual, predicted),
        "r2": metrics.r2_score(actual, predicted) if len(actual) > 1 else None,
    }
    cases.append({"name": name, "kind": "regression", "actual": list(map(float, actual)),
                  "predicted": list(map(float, predicted)), "expected": expected})


actual = rng.normal(5e5, 3e5, 300)
regression("prices", actual, actual + rng.normal(0, 1e5, 300))
regression("small", rng.normal(0, 1e-6, 50), rng.normal(0, 1e-6, 50))
regression("far_from_zero", 1e6 + rng.normal(0, 1, 200), 1e6 + rng.normal(0, 1, 200))
regression("perfect", [1.0, 2.0, 4.0], [1.0, 2.0, 4.0])
regression("constant_target", [3.0, 3.0, 3.0], [3.0, 2.0, 4.0])
regression("constant_and_perfect", [3.0, 3.0], [3.0, 3.0])
regression("one_row", [3.0], [2.5])
Path(__file__).with_name("metrics.json").write_text(json.dumps(cases, indent=None, separators=(",", ":")) + "\n")
