#!/usr/bin/env python3
"""Writes reference.json: what scikit-learn 1.9.1 fits on the shipped tables, which `tests/reference.rs` compares with.

    python3 -m venv target/reference-venv
    target/reference-venv/bin/pip install scikit-learn==1.9.1
    target/reference-venv/bin/python crates/modelgate-learn/tests/reference/make_reference.py

Features are rounded to float32 first, as modelgate has them, and computed with in doubles. Tolerances are far below
the differences that the test allows.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

warnings.filterwarnings("ignore")
HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[3] / "examples"
TABLES = {
    "breast_cancer": "breast-cancer/data/raw/breast_cancer.csv",
    "iris": "iris/data/raw/iris.csv",
    "wine": "data/wine.csv",
    "diabetes": "data/diabetes.csv",
}


def table(name, change):
    data = np.genfromtxt(EXAMPLES / TABLES[name], delimiter=",", skip_header=1)
    x, y = data[:, :-1].astype(np.float32).astype(np.float64), data[:, -1]
    if change == "few rows":
        x, y = x[:8], y[:8]
    if change == "dependent":
        x = np.column_stack([x, x[:, 0] + x[:, 1], x[:, 2]]).astype(np.float32).astype(np.float64)
    if change == "two classes":
        x, y = x[y != 0], y[y != 0] - 1
    return x, y


def weights(rows, weighted):
    """Whole numbers from 0 to 3 that a reader of any language makes again."""
    return np.array([(row * 7 + 3) % 4 for row in range(rows)], dtype=np.float64) if weighted else None


def named(params):
    """Class weights have the names of classes as keys, which are numbers here."""
    params = dict(params)
    if isinstance(params.get("class_weight"), dict):
        params["class_weight"] = {float(name): value for name, value in params["class_weight"].items()}
    return params


def linear(name, algorithm, params, change=None, weighted=False):
    x, y = table(name, change)
    if algorithm == "ridge":
        model = Ridge(**params, solver="svd" if params.get("fit_intercept", True) else "cholesky")
    elif algorithm == "linear_regression":
        model = LinearRegression(**params)
    else:
        # Standardised by the solver's side, so that it converges: the model is told in units of the features.
        mean, deviation = x.mean(axis=0), x.std(axis=0)
        ours = named(params)
        penalty = ours.pop("penalty", "l2")
        if penalty is None:
            z = (x - mean) / deviation
            model = LogisticRegression(**ours, C=np.inf, max_iter=100_000, tol=1e-10)
            model.fit(z, y, sample_weight=weights(len(y), weighted))
            coefficients = model.coef_ / deviation
            intercepts = model.intercept_ - coefficients @ mean
            return case(name, algorithm, params, change, weighted, coefficients, intercepts)
        solver = "newton-cholesky"
        model = LogisticRegression(**ours, solver=solver, max_iter=10_000, tol=1e-10)
    model.fit(x, y, sample_weight=weights(len(y), weighted))
    return case(name, algorithm, params, change, weighted, np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_))


def case(name, algorithm, params, change, weighted, coefficients, intercepts):
    return {
        "table": name, "algorithm": algorithm, "params": params, "change": change, "weighted": weighted,
        "coefficients": coefficients.tolist(), "intercepts": np.atleast_1d(intercepts).tolist(),
    }


def tree(name, params, weighted=False):
    x, y = table(name, None)
    kind = DecisionTreeRegressor if name == "diabetes" else DecisionTreeClassifier
    given = set()
    for seed in range(30):
        model = kind(**named(params), random_state=seed).fit(x, y, sample_weight=weights(len(y), weighted))
        answers = model.predict(x) if name == "diabetes" else model.predict_proba(x)
        given.add(np.round(np.concatenate([answers.ravel(), model.feature_importances_]), 9).tobytes())
    if len(given) > 1:
        # Splits that are equally good: which one is taken depends on the seed, and says nothing.
        raise SystemExit(f"{name} {params}: {len(given)} trees are equally good")
    return {
        "table": name, "params": params, "weighted": weighted, "answers": answers.tolist(),
        "importances": model.feature_importances_.tolist(),
    }


def forest(name, params):
    x, y = table(name, None)
    kind = RandomForestRegressor if name == "diabetes" else RandomForestClassifier
    scores, shares = [], []
    for seed in range(10):
        model = kind(**params, n_estimators=200, oob_score=True, random_state=seed, n_jobs=-1).fit(x, y)
        scores.append(model.oob_score_)
        shares.append(model.feature_importances_)
    return {
        "table": name, "params": params, "oob_score": float(np.mean(scores)), "spread": float(np.std(scores)),
        "importances": np.mean(shares, axis=0).tolist(),
    }


reference = {
    "linear": [
        linear("diabetes", "ridge", {"alpha": 1.0}),
        linear("diabetes", "ridge", {"alpha": 100.0}, weighted=True),
        linear("diabetes", "ridge", {"alpha": 0.5, "fit_intercept": False}),
        linear("diabetes", "ridge", {"alpha": 2.0}, change="few rows"),
        linear("diabetes", "ridge", {"alpha": 2.0}, change="dependent"),
        linear("diabetes", "linear_regression", {}),
        linear("diabetes", "linear_regression", {}, weighted=True),
        linear("diabetes", "linear_regression", {}, change="dependent"),
        linear("diabetes", "linear_regression", {}, change="few rows"),
        linear("diabetes", "linear_regression", {"fit_intercept": False}),
        linear("breast_cancer", "logistic_regression", {"C": 0.01}),
        linear("breast_cancer", "logistic_regression", {"C": 1.0, "class_weight": "balanced"}),
        linear("breast_cancer", "logistic_regression", {"C": 1.0}, weighted=True),
        linear("iris", "logistic_regression", {"C": 1.0}),
        linear("iris", "logistic_regression", {"C": 10.0, "fit_intercept": False}),
        linear("iris", "logistic_regression", {"penalty": None}, change="two classes"),
        linear("wine", "logistic_regression", {"C": 0.1, "class_weight": {"0": 2.0, "2": 0.5}}),
    ],
    "trees": [
        tree("diabetes", {"max_depth": 4, "min_samples_leaf": 5}),
        tree("diabetes", {"max_depth": 4, "min_samples_leaf": 0.05}),
        tree("diabetes", {"max_depth": 3}, weighted=True),
        tree("diabetes", {"max_leaf_nodes": 12}),
        tree("diabetes", {"min_impurity_decrease": 80.0, "max_depth": 6}),
        tree("breast_cancer", {"max_depth": 2, "criterion": "entropy"}),
        tree("breast_cancer", {"max_depth": 2, "criterion": "entropy"}, weighted=True),
        tree("breast_cancer", {"max_depth": 2, "class_weight": {"0": 3.0}}),
        tree("breast_cancer", {"max_leaf_nodes": 3}, weighted=True),
        tree("diabetes", {"ccp_alpha": 90.0}),
        tree("diabetes", {"ccp_alpha": 150.0}, weighted=True),
        tree("wine", {"ccp_alpha": 0.15, "criterion": "entropy"}),
        tree("wine", {"ccp_alpha": 0.05}),
        tree("wine", {"max_depth": 2}),
        tree("wine", {"max_depth": 2, "criterion": "log_loss", "class_weight": "balanced"}),
        tree("wine", {"max_leaf_nodes": 4}, weighted=True),
        tree("wine", {"max_leaf_nodes": 3, "min_samples_leaf": 8}),
    ],
    "forests": [
        forest("breast_cancer", {}),
        forest("wine", {"criterion": "entropy", "class_weight": "balanced_subsample"}),
        forest("diabetes", {"min_samples_leaf": 3, "max_features": 0.5, "max_samples": 0.7}),
    ],
}
(HERE / "reference.json").write_text(json.dumps(reference) + "\n")
