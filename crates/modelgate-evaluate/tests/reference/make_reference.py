"""Writes metrics.json: inputs, and what scikit-learn 1.9.1 makes of them.

And statistics.json: what SciPy 1.17.1 says of the distributions and tests.

Needs: pip install scikit-learn==1.9.1 scipy==1.17.1. Run: python make_reference.py
"""
import json
from pathlib import Path

import numpy as np
from scipy import optimize, stats
from sklearn import calibration, metrics

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
    expected["balanced_accuracy"] = metrics.balanced_accuracy_score(labels, predicted)
    expected["mcc"] = metrics.matthews_corrcoef(labels, predicted)
    alone = np.unique(np.concatenate([labels, predicted])).size == 1
    expected["cohen_kappa"] = None if alone else metrics.cohen_kappa_score(labels, predicted)
    for k in [2, 3, 5]:
        if k < classes:
            expected[f"top_{k}_accuracy"] = metrics.top_k_accuracy_score(labels, wide, k=k, labels=everything)
    precision = lambda c: metrics.average_precision_score(labels == c, wide[:, c]) if (labels == c).any() else None
    if classes == 2:
        expected["pr_auc"] = precision(1)
        expected["brier"] = metrics.brier_score_loss(labels, wide[:, 1], pos_label=1)
        confidence, true = wide[:, 1], labels == 1
    else:
        parts = [precision(c) for c in everything]
        expected["pr_auc"] = None if None in parts else np.average(parts, weights=np.bincount(labels, minlength=classes))
        if None not in parts:
            expected["pr_auc_macro"] = metrics.average_precision_score(np.eye(classes)[labels], wide, average="macro")
        expected["brier"] = float(np.mean(((wide - np.eye(classes)[labels]) ** 2).sum(axis=1)))
        if present:
            expected["brier"] = metrics.brier_score_loss(labels, wide, labels=everything)
        confidence, true = wide.max(axis=1), predicted == labels
    # calibration_curve gives the bins that have rows; their sizes are counted here.
    share, promised = calibration.calibration_curve(true, confidence, n_bins=10) if np.unique(true).size == 2 else (None, None)
    bins = np.searchsorted(np.linspace(0, 1, 11)[1:-1], confidence)
    sizes = np.bincount(bins, minlength=10)
    if share is None:
        share, promised = (np.array([v[bins == b].mean() for b in range(10) if sizes[b]]) for v in (true, confidence))
    expected["calibration_error"] = float(np.sum(sizes[sizes > 0] / len(labels) * np.abs(share - promised)))
    rows_sum_to_one = np.allclose(wide.sum(axis=1), 1, rtol=1e-15, atol=0)
    if present and rows_sum_to_one:
        expected["log_loss"] = metrics.log_loss(labels, wide, labels=everything)
    parts = metrics.precision_recall_fscore_support(labels, predicted, labels=everything, average=None, zero_division=0)
    area_of = lambda c: metrics.roc_auc_score(labels == c, wide[:, c]) if np.unique(labels == c).size == 2 else None
    per_class = [
        {"precision": parts[0][c], "recall": parts[1][c], "f1": parts[2][c], "support": int(parts[3][c]),
         "roc_auc": area_of(c), "pr_auc": precision(c)}
        for c in everything
    ]
    cases.append({"per_class": per_class, 
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
        "mape": metrics.mean_absolute_percentage_error(actual, predicted),
        "explained_variance": metrics.explained_variance_score(actual, predicted) if len(actual) > 1 else None,
        **{f"pinball_{round(a * 100)}": metrics.mean_pinball_loss(actual, predicted, alpha=a) for a in [0.1, 0.5, 0.9]},
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

small = np.random.default_rng(7)
quantiles = [1e-12, 1e-6, 0.001, 0.025, 0.2, 0.5, 0.6, 0.8, 0.95, 0.975, 0.999999]
students = [(0.0, 3.0), (1.0, 1.0), (2.0, 4.5), (-3.5, 30.0), (8.0, 84.0), (1.96, 1e6), (0.01, 12.0)]
pairs = [(small.normal(0, 1, n), small.normal(0.1, 1, n)) for n in [3, 20, 300]]
groups = [((30.0, 0.4, 0.24), (200.0, 0.2, 0.16)), ((5.0, 1.0, 0.5), (7.0, 1.1, 2.0)), ((900.0, 10.0, 3.0), (90.0, 10.5, 9.0))]


def holm(values):
    order, highest, out = np.argsort(values, kind="stable"), 0.0, [0.0] * len(values)
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, values[at] * (len(values) - rank)))
        out[at] = highest
    return out


def edwards(one, other):
    return stats.chi2.sf((abs(one - other) - 1) ** 2 / (one + other), 1)


def tango(one, other, rows, confidence):
    """Tango's score interval by its definition: the likelihood is maximised numerically under each difference."""
    both = rows - one - other

    def score(delta):
        low, high = max(0.0, -delta), (1.0 - delta) / 2
        if high - low < 1e-15:
            share = low
        else:
            part = lambda count, p: count * np.log(max(p, 1e-300)) if count else 0.0
            loss = lambda q: -(part(one, q + delta) + part(other, q) + part(both, 1 - 2 * q - delta))
            grid = np.linspace(low, high, 400)
            at = int(np.argmin([loss(q) for q in grid]))
            around = (grid[max(at - 1, 0)], grid[min(at + 1, 399)])
            share = optimize.minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-13}).x
        return (one - other - rows * delta) / np.sqrt(max(rows * (2 * share + delta - delta**2), 1e-300))

    z, seen = stats.norm.ppf(confidence), (one - other) / rows
    end = lambda outside, target: optimize.brentq(lambda delta: score(delta) - target, outside, seen, xtol=1e-12)
    return end(-1 + 1e-9, z), end(1 - 1e-9, -z)


Path(__file__).with_name("statistics.json").write_text(json.dumps({
    "normal_quantile": [(p, stats.norm.ppf(p)) for p in quantiles],
    "student": [(t, f, 2 * stats.t.sf(abs(t), f)) for t, f in students],
    "mcnemar": [(a, b, stats.binomtest(a, a + b).pvalue) for a, b in [(3, 10), (1, 0), (40, 25), (400, 450)]]
    + [(a, b, edwards(a, b)) for a, b in [(600, 500), (3000, 3200)]],
    "score": [(*case, *tango(*case)) for case in
              [(1, 2, 30, 0.95), (0, 3, 40, 0.975), (5, 5, 60, 0.95), (12, 30, 400, 0.9), (0, 0, 50, 0.95), (3, 0, 10, 0.95)]],
    "welch": [(a, b, stats.ttest_ind_from_stats(a[1], a[2] ** 0.5, a[0], b[1], b[2] ** 0.5, b[0], equal_var=False).pvalue)
              for a, b in groups],
    "paired": [(list(a), list(b), *map(float, stats.ttest_rel(a, b))) for a, b in pairs],
    "holm": [(v, holm(v)) for v in [[0.01, 0.04, 0.03, 0.005], [0.5], [0.9, 0.8, 0.01]]],
}, separators=(",", ":")) + "\n")
