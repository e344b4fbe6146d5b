"""Checks a package with the tools that others use: ONNX Runtime, mlflow.pyfunc and mlflow.onnx.

    python check_package.py PACKAGE_DIR ROWS.json

ROWS.json holds raw rows by column and what modelgate predicted for them; floats of predictions are the bits of an
f32 as whole numbers, so that nothing is lost on the way. Trees must agree bit for bit, a linear model within 1e-6
of the value, classes always. Ends with status 1 at the first difference.
"""
import json
import logging
import os
import sys
import warnings

os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///:memory:")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import mlflow.onnx
import mlflow.pyfunc
import numpy as np
import onnxruntime
import pandas as pd


def fail(message):
    print(f"DIFFERENT: {message}")
    sys.exit(1)


def compare(name, expected, found, exact):
    for output, values in expected.items():
        got = np.asarray(found[output])
        if got.shape != (len(values),):
            fail(f"{name}: {output} has the shape {got.shape}, expected ({len(values)},)")
        if output == "label":
            bad = [row for row, value in enumerate(values) if str(value) != str(got[row])]
            if bad:
                row = bad[0]
                scores = {key: str(np.asarray(column)[row]) for key, column in found.items()}
                fail(f"{name}: {len(bad)} labels differ, first {row}: expected {values[row]}, got {scores}")
            continue
        want = np.array(values, dtype=np.uint32).view(np.float32)
        got = got.astype(np.float32)
        if exact:
            bad = np.flatnonzero(want.view(np.uint32) != got.view(np.uint32))
        else:
            # Linear models are doubles in both; their sums run in another order, then each is rounded to f32 once.
            bad = np.flatnonzero(np.abs(want - got) > 1e-6 * np.maximum(np.abs(want), 1e-3))
        if bad.size:
            row = bad[0]
            fail(f"{name}: {output} differs in {bad.size} of {len(values)} rows, first {row}: {want[row]!r} {got[row]!r}")
    print(f"same: {name}, {len(next(iter(expected.values())))} rows, {'bit for bit' if exact else 'within 1e-6'}")


def main():
    package, rows_path = sys.argv[1:]
    with open(rows_path, encoding="utf-8") as file:
        case = json.load(file)
    types = {"int": np.int64, "float": np.float32, "string": object}

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(os.path.join(package, "model.onnx"), options, ["CPUExecutionProvider"])
    inputs, frame = {}, {}
    for column in case["columns"]:
        values = column["values"]
        if column["type"] == "string":
            inputs[column["name"]] = np.array([value or "" for value in values], dtype=object)
            frame[column["name"]] = pd.Series(values, dtype=object)
        elif column["type"] == "float":
            numbers = [np.nan if value is None else value for value in values]
            inputs[column["name"]] = np.array(numbers, dtype=np.float64).astype(np.float32)
            frame[column["name"]] = pd.Series(numbers, dtype=np.float64)
        else:
            inputs[column["name"]] = np.array(values, dtype=np.int64)
            frame[column["name"]] = pd.Series(values, dtype=np.int64)
    names = [output.name for output in session.get_outputs()]
    compare("onnxruntime", case["expected"], dict(zip(names, session.run(names, inputs))), case["exact"])
    for name in (names[0],):
        one = {key: value[:1] for key, value in inputs.items()}
        expected = {key: value[:1] for key, value in case["expected"].items()}
        compare("onnxruntime, one row", expected, dict(zip(names, session.run(names, one))), case["exact"])

    frame = pd.DataFrame(frame)
    answered = mlflow.pyfunc.load_model(package).predict(frame)
    compare("mlflow.pyfunc", case["expected"], {name: answered[name] for name in names}, case["exact"])

    model = mlflow.onnx.load_model(package)
    if [value.name for value in model.graph.input] != [column["name"] for column in case["columns"]]:
        fail("mlflow.onnx: the inputs are others")
    print("same: mlflow.onnx, inputs")


main()
