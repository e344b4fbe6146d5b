#!/usr/bin/env python3
"""Writes the example data from the scikit-learn wheel, byte for byte the same each time.

    python3 -m venv target/data-venv
    target/data-venv/bin/pip install scikit-learn==1.9.1
    target/data-venv/bin/python scripts/export_sklearn_data.py            # write
    target/data-venv/bin/python scripts/export_sklearn_data.py --check    # compare only

Numbers are written as Python's `repr` does, the shortest text that reads back as the same float64.
"""

import argparse
import hashlib
import importlib.metadata
import sys
from pathlib import Path

import sklearn
from sklearn import datasets

VERSION = "1.9.1"
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def number(value: float) -> str:
    return repr(float(value))


def whole(value: float) -> str:
    if value != int(value):
        raise ValueError(f"{value} is not a whole number")
    return str(int(value))


def table(bunch, write_feature=number, write_target=whole) -> bytes:
    """Returns features and `target` as CSV with LF line ends."""
    lines = [",".join([*bunch.feature_names, "target"])]
    for features, target in zip(bunch.data, bunch.target, strict=True):
        lines.append(",".join([*map(write_feature, features), write_target(target)]))
    return ("\n".join(lines) + "\n").encode()


def files() -> dict[str, tuple[bytes, str]]:
    """Returns bytes and a note by path below `examples/`."""
    return {
        "breast-cancer/data/raw/breast_cancer.csv": (
            table(datasets.load_breast_cancer()),
            "`load_breast_cancer`; target 0 malignant (212), 1 benign (357)",
        ),
        "iris/data/raw/iris.csv": (
            table(datasets.load_iris()),
            "`load_iris`; target 0 setosa, 1 versicolor, 2 virginica (50 each)",
        ),
        "data/wine.csv": (
            table(datasets.load_wine()),
            "`load_wine`; target is the cultivar, 0 (59), 1 (71), 2 (48)",
        ),
        "data/diabetes.csv": (
            table(datasets.load_diabetes(scaled=False)),
            "`load_diabetes(scaled=False)`; target is the progression after a year, 25 to 346",
        ),
        "data/digits.csv": (
            table(datasets.load_digits(), write_feature=whole),
            "`load_digits`; 8 × 8 pixels, 0 to 16, written as whole numbers; target is the digit",
        ),
    }


def licence() -> bytes:
    for file in importlib.metadata.files("scikit-learn") or []:
        if file.name == "COPYING" and ".dist-info" in str(file):
            return file.locate().read_bytes()
    raise SystemExit("the scikit-learn wheel holds no COPYING")


def sources(made: dict[str, tuple[bytes, str]]) -> bytes:
    rows = []
    for path, (content, note) in sorted(made.items()):
        lines = content.decode().splitlines()
        shape = f"{len(lines) - 1:,} × {lines[0].count(',') + 1}"
        rows.append(f"| `{path}` | {shape} | {note} | `{hashlib.sha256(content).hexdigest()}` |\n")
    return (
        "# Where the example data comes from\n\n"
        f"All files are written by `scripts/export_sklearn_data.py` from the scikit-learn {VERSION} wheel on PyPI,\n"
        "which ships them under the BSD-3-Clause licence (`LICENSE-scikit-learn` beside this file). None is changed\n"
        "but for its form: one header line, the target as the last column, numbers in their shortest exact text.\n\n"
        "Their first sources: Breast Cancer Wisconsin (Diagnostic), Iris, Wine and Optical Recognition of Handwritten\n"
        "Digits are of the UCI Machine Learning Repository; Diabetes is of Efron, Hastie, Johnstone and Tibshirani,\n"
        "“Least Angle Regression”, Annals of Statistics 32 (2004).\n\n"
        "| file, below `examples/` | rows × columns | made by | sha256 |\n|---|---|---|---|\n" + "".join(rows)
    ).encode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the files that are there, write nothing")
    arguments = parser.parse_args()
    if sklearn.__version__ != VERSION:
        print(f"scikit-learn is {sklearn.__version__}, expected {VERSION}", file=sys.stderr)
        return 1
    made = files()
    contents = {path: content for path, (content, _) in made.items()}
    contents["data/SOURCES.md"] = sources(made)
    contents["data/LICENSE-scikit-learn"] = licence()
    different = []
    for name, content in contents.items():
        path = EXAMPLES / name
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif not path.is_file() or path.read_bytes() != content:
            different.append(name)
        print(f"{hashlib.sha256(content).hexdigest()}  {name}")
    for name in different:
        print(f"examples/{name} is not what this script writes", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
