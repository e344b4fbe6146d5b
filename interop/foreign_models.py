"""Models of LightGBM, XGBoost and scikit-learn (through skl2onnx) on real data, and what those programs predict.

    python foreign_models.py make FOLDER [boosted|sklearn]    writes models and FOLDER/cases.json
    python foreign_models.py check FOLDER                     runs FOLDER/<case>.package.onnx in ONNX Runtime

A case has the columns of the data, the file of the model and the predictions of the program that made it. `check` holds
the graphs that modelgate made of the models against FOLDER/<case>.answers.json, what modelgate predicted. Housing is
California's, `MODELGATE_TEST_DATA/tabular/housing.csv`; the other data is in scikit-learn.
"""
import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")

import numpy as np
import onnxruntime
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

TYPES = {"int": np.int64, "float": np.float32, "string": object}


def housing(rows=4000):
    """Real columns with missing numbers and text; some texts are made missing too."""
    path = os.path.join(os.environ["MODELGATE_TEST_DATA"], "tabular", "housing.csv")
    frame = pd.read_csv(path).sample(rows, random_state=1).reset_index(drop=True)
    target = frame.pop("median_house_value").to_numpy()
    for name in frame.columns[:-1]:
        frame[name] = frame[name].astype(np.float32)
    frame["ocean_proximity"] = frame["ocean_proximity"].astype(object)
    frame.loc[::17, "ocean_proximity"] = None
    frame.loc[::23, "median_income"] = np.nan
    return frame, target


def numbers(data):
    frame = pd.DataFrame(data.data.astype(np.float32), columns=[str(name) for name in data.feature_names])
    return frame, data.target


class Cases:
    def __init__(self, folder):
        self.folder, self.cases = folder, []

    def add(self, name, file, frame, expected, classes=None, exact=False):
        columns = []
        for column in frame.columns:
            values = frame[column]
            if str(values.dtype) == "category":
                values = values.astype(object)
            kind = "string" if values.dtype == object else "int" if values.dtype.kind == "i" else "float"
            if kind == "string":
                values = [None if value is None or value != value else str(value) for value in values]
            elif kind == "int":
                values = [int(value) for value in values]
            else:
                values = [None if value != value else float(np.float32(value)) for value in values]
            columns.append({"name": str(column), "type": kind, "values": values})
        expected = np.asarray(expected, dtype=np.float64)
        self.cases.append({
            "name": name, "file": file, "columns": columns, "classes": classes,
            "expected": expected.reshape(len(frame), -1).ravel().tolist(), "exact": exact,
            # A sum in f32 is held against the size of the answers.
            "tolerance": 1e-6 * max(1, np.abs(expected).max()),
        })

    def write(self):
        with open(os.path.join(self.folder, "cases.json"), "w", encoding="utf-8") as file:
            json.dump(self.cases, file)


def categorical(frame):
    frame = frame.copy()
    frame["ocean_proximity"] = pd.Categorical(frame["ocean_proximity"])
    return frame


def lightgbm_models(cases):
    import lightgbm as lgb

    def save(name, model, frame, expected, classes=None):
        booster = getattr(model, "booster_", model)
        booster.save_model(os.path.join(cases.folder, f"{name}.txt"))
        cases.add(name, f"{name}.txt", frame, expected, classes)

    quiet = {"verbose": -1, "n_jobs": 1, "random_state": 3}
    frame, target = numbers(load_breast_cancer())
    frame = frame.mask(np.random.default_rng(0).random(frame.shape) < 0.05).astype(np.float32)
    model = lgb.LGBMClassifier(n_estimators=60, **quiet).fit(frame, target)
    save("lightgbm_two_classes", model, frame, model.predict_proba(frame), [0, 1])
    scaled = lgb.train({"objective": "binary", "sigmoid": 2.5, "verbose": -1, "num_threads": 1},
                       lgb.Dataset(frame.to_numpy(), target), 20)
    second = scaled.predict(frame.to_numpy())
    save("lightgbm_sigmoid_without_names", scaled, frame, np.stack([1 - second, second], 1), [0, 1])

    frame, target = housing()
    model = lgb.LGBMRegressor(n_estimators=80, min_child_samples=5, **quiet).fit(categorical(frame), target)
    save("lightgbm_categories_and_nan", model, frame, model.predict(categorical(frame)))
    model = lgb.LGBMRegressor(n_estimators=40, max_cat_to_onehot=1, min_data_per_group=5, cat_smooth=1, **quiet)
    model.fit(categorical(frame), target)
    save("lightgbm_sets_of_categories", model, frame, model.predict(categorical(frame)))
    dart = lgb.LGBMRegressor(n_estimators=40, boosting_type="dart", objective="l1", **quiet)
    dart.fit(categorical(frame), target)
    save("lightgbm_dart", dart, frame, dart.predict(categorical(frame)))
    forest = lgb.LGBMRegressor(n_estimators=20, boosting_type="rf", bagging_freq=1, bagging_fraction=0.6, **quiet)
    forest.fit(categorical(frame), target)
    save("lightgbm_forest", forest, frame, forest.predict(categorical(frame)))

    frame, target = numbers(load_diabetes())
    frame = frame.round(2).where(np.random.default_rng(1).random(frame.shape) > 0.3, 0).astype(np.float32)
    frame.iloc[::9, 3] = np.nan
    model = lgb.LGBMRegressor(n_estimators=50, zero_as_missing=True, min_child_samples=5, **quiet)
    model.fit(frame, target)
    save("lightgbm_zero_is_missing", model, frame, model.predict(frame))

    rng = np.random.default_rng(2)
    frame, target = numbers(load_wine())
    frame.columns = [name.replace("/", " ") for name in frame.columns]
    frame["bin"] = (rng.integers(0, 12, len(frame)) + 3 * target).astype(np.int64)
    frame["code"] = pd.Series(rng.choice([3, 5, 7, 11], len(frame)), dtype=np.int64)
    named = frame.assign(code=pd.Categorical(frame["code"]))
    model = lgb.LGBMClassifier(n_estimators=40, min_child_samples=3, min_data_per_group=3, cat_smooth=1, **quiet)
    model.fit(named, target)
    save("lightgbm_three_classes_and_codes", model, frame, model.predict_proba(named), [0, 1, 2])
    plain = frame.drop(columns="code")
    model = lgb.LGBMClassifier(n_estimators=20, min_child_samples=3, min_data_per_group=3, cat_smooth=1, **quiet)
    model.fit(plain.to_numpy(), target, categorical_feature=[plain.columns.get_loc("bin")])
    plain["bin"] = plain["bin"].astype(np.float32)
    plain.iloc[::7, -1] += 0.5
    plain.iloc[::11, -1] = np.nan
    plain.iloc[::13, -1] = -0.5
    plain.iloc[::29, -1] = 500
    save("lightgbm_whole_numbers_as_categories", model, plain, model.predict_proba(plain.to_numpy()), [0, 1, 2])


def xgboost_models(cases):
    import xgboost as xgb

    def save(name, model, frame, expected, classes=None):
        model.save_model(os.path.join(cases.folder, f"{name}.json"))
        # Sums are the same f32 in the same order, but for weighted trees; the functions behind classes are not.
        cases.add(name, f"{name}.json", frame, expected, classes, exact=classes is None and "dart" not in name)

    quiet = {"n_jobs": 1, "random_state": 3}
    frame, target = numbers(load_breast_cancer())
    frame = frame.mask(np.random.default_rng(0).random(frame.shape) < 0.05).astype(np.float32)
    model = xgb.XGBClassifier(n_estimators=60, max_depth=5, **quiet).fit(frame, target)
    save("xgboost_two_classes", model, frame, model.predict_proba(frame), [0, 1])
    model = xgb.XGBClassifier(n_estimators=200, early_stopping_rounds=3, base_score=0.3, **quiet)
    model.fit(frame.to_numpy()[:400], target[:400], eval_set=[(frame.to_numpy()[400:], target[400:])], verbose=False)
    save("xgboost_stopped_early_without_names", model, frame, model.predict_proba(frame.to_numpy()), [0, 1])

    frame, target = housing()
    for name, most in [("xgboost_categories_and_nan", 1), ("xgboost_single_categories", 20)]:
        model = xgb.XGBRegressor(n_estimators=80, max_depth=6, enable_categorical=True, max_cat_to_onehot=most, **quiet)
        model.fit(categorical(frame), target)
        save(name, model, frame, model.predict(categorical(frame)))
    model = xgb.XGBRegressor(n_estimators=40, objective="reg:absoluteerror", booster="dart", rate_drop=0.3,
                             enable_categorical=True, **quiet).fit(categorical(frame), target)
    save("xgboost_dart", model, frame, model.predict(categorical(frame)))
    model = xgb.XGBRFRegressor(n_estimators=30, max_depth=8, enable_categorical=True, **quiet)
    model.fit(categorical(frame), target)
    save("xgboost_forest", model, frame, model.predict(categorical(frame)))

    rng = np.random.default_rng(2)
    frame, target = numbers(load_wine())
    frame["code"] = pd.Series(rng.choice([3, 5, 7, 11], len(frame)) + target * 2, dtype=np.int64)
    named = frame.assign(code=pd.Categorical(frame["code"]))
    model = xgb.XGBClassifier(n_estimators=30, max_depth=4, enable_categorical=True, max_cat_to_onehot=1,
                              num_parallel_tree=2, subsample=0.7, **quiet).fit(named, target)
    save("xgboost_three_classes_and_codes", model, frame, model.predict_proba(named), [0, 1, 2])


def session(path_or_bytes):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path_or_bytes, options, ["CPUExecutionProvider"])


def check(folder):
    with open(os.path.join(folder, "cases.json"), encoding="utf-8") as file:
        cases = json.load(file)
    for case in cases:
        name = case["name"]
        with open(os.path.join(folder, f"{name}.answers.json"), encoding="utf-8") as file:
            answers = np.array(json.load(file), dtype=np.uint32).view(np.float32)
        inputs = {}
        for column in case["columns"]:
            empty = {"string": "", "float": np.nan, "int": 0}[column["type"]]
            values = [empty if value is None else value for value in column["values"]]
            inputs[column["name"]] = np.array(values, dtype=TYPES[column["type"]])
        own = session(os.path.join(folder, f"{name}.package.onnx"))
        names = [output.name for output in own.get_outputs()]
        found = dict(zip(names, own.run(names, inputs)))
        scores = [output for output in names if output != "label"]
        found_scores = np.stack([found[output] for output in scores], 1).astype(np.float32).ravel()
        if case["exact"]:
            bad = np.flatnonzero(found_scores.view(np.uint32) != answers.view(np.uint32))
        else:
            bad = np.flatnonzero(np.abs(found_scores - answers) > case["tolerance"])
        if bad.size:
            first = bad[0]
            sys.exit(f"DIFFERENT: {name}: {bad.size} of {answers.size}, first {first}: modelgate {answers[first]!r}, "
                     f"ONNX Runtime {found_scores[first]!r}")
        if "label" in found:
            best = answers.reshape(-1, len(scores)).argmax(1)
            labels = np.array([scores[place].removeprefix("probability_") for place in best])
            if (labels != found["label"].astype(str)).any():
                sys.exit(f"DIFFERENT: {name}: labels")
        print(f"same: {name}, {len(answers)} answers, {'bit for bit' if case['exact'] else case['tolerance']}")


def main():
    action, folder = sys.argv[1:3]
    if action == "check":
        check(folder)
        return
    os.makedirs(folder, exist_ok=True)
    cases = Cases(folder)
    if sys.argv[3] == "boosted":
        lightgbm_models(cases)
        xgboost_models(cases)
    cases.write()


main()
