"""Trains a scikit-learn forest for modelgate: train.py TRAIN OUTPUT --seed SEED.

train.py --check MODEL ROWS trains on half of ROWS, exports that model, and compares both in ONNX Runtime; then it asks the
packaged MODEL for the shape of its answers.
"""
import argparse
import json
import os

import pandas
from sklearn.ensemble import RandomForestClassifier

from modelgate_onnx import columns_of, export

TARGET = os.environ.get("MODELGATE_TARGET", "target")
# The columns of the graph in their order: neither the target nor a key, a date or weights are among them.
FEATURES = json.loads(os.environ.get("MODELGATE_FEATURES", "null"))


def read(path):
    # What is missing is empty there; `NA` and `None` are values of a column that is declared as text.
    return pandas.read_csv(path, keep_default_na=False, na_values=[""])


def features_of(rows):
    return rows.drop(columns=TARGET) if FEATURES is None else rows[FEATURES]


def fit(rows, seed):
    params = json.loads(os.environ.get("MODELGATE_PARAMS", "{}"))
    features = features_of(rows)
    # What a tree compares are the f32 values that the package gets.
    model = RandomForestClassifier(random_state=seed, **params).fit(features.astype("float32").values, rows[TARGET])
    return model, columns_of(features)


def check(packaged, path):
    import numpy
    import onnxruntime

    rows = read(path)
    model, columns = fit(rows.iloc[::2], 0)
    export(model, columns, "check.onnx")
    features = features_of(rows)
    inputs = {name: features[name].to_numpy().astype(kind) for name, kind in columns.items()}
    names = ["label", *(f"probability_{name}" for name in model.classes_)]
    label, *probabilities = onnxruntime.InferenceSession("check.onnx").run(names, inputs)
    expected = model.predict_proba(features.astype("float32").values)
    assert (label == model.predict(features.astype("float32").values)).all()
    assert numpy.abs(numpy.stack(probabilities, axis=1) - expected).max() < 1e-5
    answers = onnxruntime.InferenceSession(packaged).run(names, inputs)
    assert all(answer.shape == (len(rows),) for answer in answers)
    print("same answers")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", nargs=2, metavar=("MODEL", "ROWS"))
    parser.add_argument("train", nargs="?")
    parser.add_argument("output", nargs="?")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.check:
        check(*arguments.check)
    else:
        rows = read(arguments.train)
        model, columns = fit(rows, arguments.seed)
        print(f"{len(rows)} rows, {len(columns)} columns")
        export(model, columns, arguments.output, rows[list(columns)])
