"""Models of LightGBM, XGBoost and scikit-learn (through skl2onnx) on real data, and what those programs predict.

    python foreign_models.py make FOLDER boosted|sklearn|operators|others    writes models and FOLDER/cases.json
    python foreign_models.py library                          prints the path of ONNX Runtime's library
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


def session(path_or_bytes):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path_or_bytes, options, ["CPUExecutionProvider"])


def plain(value):
    """JSON has no word for a missing or an infinite number."""
    return None if value != value else str(value) if abs(value) == np.inf else value


class Cases:
    def __init__(self, folder):
        self.folder, self.cases = folder, []

    def add(self, name, file, frame, expected, classes=None, exact=False):
        columns = []
        for column in frame.columns:
            values = frame[column]
            if str(values.dtype) == "category":
                values = values.astype(object)
            kind = "string" if values.dtype == object else "int" if values.dtype.kind in "ib" else "float"
            if kind == "string":
                values = [None if value is None or value != value else str(value) for value in values]
            elif kind == "int":
                values = [int(value) for value in values]
            else:
                values = [plain(float(np.float32(value))) for value in values]
            columns.append({"name": str(column), "type": kind, "values": values})
        expected = np.asarray(expected, dtype=np.float64)
        self.cases.append({
            "name": name, "file": file, "columns": columns, "classes": classes,
            "expected": [plain(value) for value in expected.reshape(len(frame), -1).ravel().tolist()],
            "exact": exact,
            # A sum in f32 is held against the size of the answers.
            "tolerance": 1e-6 * max(1, np.abs(expected[np.isfinite(expected)]).max(initial=0)),
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


def as_list(value):
    """skl2onnx 1.20 gives truth values and numpy's numbers where onnx 1.23 takes whole numbers."""
    if isinstance(value, (list, tuple)):
        return [int(one) if isinstance(one, (bool, np.bool_, np.integer)) else one for one in value]
    return value


def sklearn_models(cases):
    from onnx import helper

    make_attribute = helper.make_attribute
    helper.make_attribute = lambda key, value, *rest, **named: make_attribute(key, as_list(value), *rest, **named)

    from skl2onnx import convert_sklearn, to_onnx
    from skl2onnx.common.data_types import BooleanTensorType, FloatTensorType, Int64TensorType, StringTensorType
    from sklearn import compose, decomposition, ensemble, impute, linear_model, neural_network, pipeline, tree
    from sklearn import preprocessing as pre

    def save(name, model, frame, target, exact=True, separate=False, **options):
        classes = sorted(set(target.tolist())) if hasattr(model, "predict_proba") else None
        if separate:
            kinds = {"b": BooleanTensorType, "f": FloatTensorType, "i": Int64TensorType, "O": StringTensorType}
            model.fit(frame, target)
            inputs = [(column, kinds[frame[column].dtype.kind]([None, 1])) for column in frame.columns]
            graph = convert_sklearn(model, initial_types=inputs, **options)
            feed = {column: frame[column].to_numpy().reshape(-1, 1) for column in frame.columns}
        else:
            values = frame.to_numpy().astype(np.float32)
            model.fit(values, target)
            graph = to_onnx(model, values[:1], **options)
            feed = {"X": values}
        data = graph.SerializeToString()
        with open(os.path.join(cases.folder, f"{name}.onnx"), "wb") as file:
            file.write(data)
        found = session(data).run(None, feed)
        expected = found[-1]
        if classes is not None and isinstance(expected, list):
            expected = [[row[label] for label in classes] for row in expected]
        cases.add(name, f"{name}.onnx", frame, expected, classes, exact)

    seed = {"random_state": 3}
    iris, three = numbers(load_iris())
    cancer, two = numbers(load_breast_cancer())
    wine, wines = numbers(load_wine())
    named = np.array(["barolo", "grignolino", "barbera"])[wines]
    diabetes, value = numbers(load_diabetes())
    holes = cancer.mask(np.random.default_rng(0).random(cancer.shape) < 0.05).astype(np.float32)
    plain = {"options": {"zipmap": False}}

    save("forest_of_three", ensemble.RandomForestClassifier(20, **seed), iris, three)
    save("forest_of_two", ensemble.RandomForestClassifier(20, **seed), cancer, two)
    save("forest_of_texts", ensemble.RandomForestClassifier(20, **seed), wine, named, **plain)
    save("extra_trees", ensemble.ExtraTreesClassifier(20, **seed), wine, named)
    save("tree_of_two", tree.DecisionTreeClassifier(max_depth=4, **seed), cancer, two)
    save("forest_of_numbers", ensemble.RandomForestRegressor(20, **seed), diabetes, value)
    save("extra_trees_of_numbers", ensemble.ExtraTreesRegressor(20, **seed), diabetes, value)
    save("tree_of_numbers", tree.DecisionTreeRegressor(max_depth=5, **seed), diabetes, value)
    save("boosted_numbers", ensemble.GradientBoostingRegressor(n_estimators=30, **seed), diabetes, value)
    save("boosted_two", ensemble.GradientBoostingClassifier(n_estimators=20, **seed), cancer, two, False)
    save("boosted_three", ensemble.GradientBoostingClassifier(n_estimators=20, **seed), wine, named, False)
    save("histogram_two", ensemble.HistGradientBoostingClassifier(max_iter=20, **seed), holes, two, False)
    save("histogram_three", ensemble.HistGradientBoostingClassifier(max_iter=20, **seed), iris, three, False)
    save("histogram_numbers", ensemble.HistGradientBoostingRegressor(max_iter=30, **seed),
         diabetes.mask(diabetes > 0.1), value)
    save("logistic_two", linear_model.LogisticRegression(max_iter=300), iris, (three > 0).astype(int), False)
    save("logistic_three", linear_model.LogisticRegression(max_iter=300), iris, three, False)
    save("logistic_texts", pipeline.make_pipeline(pre.StandardScaler(), linear_model.LogisticRegression()), wine, named, False)
    save("least_squares", linear_model.LinearRegression(), diabetes, value, False)
    save("ridge", linear_model.Ridge(0.5), diabetes, value, False)
    save("lasso", linear_model.Lasso(0.1), diabetes, value, False)
    save("dense_three", neural_network.MLPClassifier((8,), max_iter=60, **seed), iris, three, False)
    save("dense_numbers", neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=60, **seed), iris, three * 1.5, False)
    for name, steps in {
        "imputed_and_scaled": [impute.SimpleImputer(), pre.StandardScaler()],
        "median_and_range": [impute.SimpleImputer(strategy="median"), pre.MinMaxScaler()],
        "clipped_and_normed": [impute.SimpleImputer(), pre.MinMaxScaler(clip=True), pre.Normalizer()],
        "normed_l1": [impute.SimpleImputer(), pre.Normalizer("l1")],
        "normed_max": [impute.SimpleImputer(), pre.Normalizer("max")],
        "robust_and_absolute": [impute.SimpleImputer(), pre.RobustScaler(), pre.MaxAbsScaler()],
        "binarized": [impute.SimpleImputer(), pre.StandardScaler(), pre.Binarizer(threshold=0.1)],
    }.items():
        save(name, pipeline.make_pipeline(*steps, ensemble.RandomForestClassifier(10, **seed)), holes, two)
    save("scaled_logistic", pipeline.make_pipeline(impute.SimpleImputer(), pre.StandardScaler(),
                                                   linear_model.LogisticRegression()), holes, two, False)
    save("components", pipeline.make_pipeline(pre.StandardScaler(), decomposition.PCA(4), linear_model.Ridge()),
         diabetes, value, False)

    houses, price = housing(2000)
    houses["ocean_proximity"] = houses["ocean_proximity"].fillna("").astype(object)
    houses["old"] = (houses["housing_median_age"] > 40).astype(np.int64)
    floats = [name for name in houses.columns if houses[name].dtype.kind == "f"]
    numeric = pipeline.make_pipeline(impute.SimpleImputer(), pre.StandardScaler())
    one_hot = compose.ColumnTransformer([
        ("numbers", numeric, [*floats, "old"]),
        ("texts", pre.OneHotEncoder(handle_unknown="ignore"), ["ocean_proximity"]),
    ])
    ranks = compose.ColumnTransformer([
        ("texts", pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["ocean_proximity"]),
        ("numbers", impute.SimpleImputer(strategy="median"), floats),
    ], remainder="passthrough")
    dropped = compose.ColumnTransformer([
        ("numbers", pipeline.make_pipeline(impute.SimpleImputer(), pre.MinMaxScaler()), floats),
        ("texts", pre.OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False), ["ocean_proximity"]),
    ], remainder="passthrough")
    save("columns_dropped", pipeline.make_pipeline(dropped, linear_model.Ridge()), houses, price, False, separate=True)
    houses["near"] = houses["ocean_proximity"].where(houses["ocean_proximity"] == "NEAR BAY", "far").astype(object)
    texts = ["ocean_proximity", "near"]
    filled = compose.ColumnTransformer([
        ("numbers", impute.SimpleImputer(), floats),
        ("texts", pipeline.make_pipeline(impute.SimpleImputer(strategy="most_frequent", missing_values=""),
                                         pre.OneHotEncoder(handle_unknown="ignore")), texts),
    ])
    save("columns_filled_texts", pipeline.make_pipeline(filled, ensemble.RandomForestRegressor(5, **seed)), houses, price, separate=True)
    del houses["near"]
    flat = houses[[*floats[:3], "old"]].fillna(0).assign(old=houses["old"].astype(np.float32))
    codes = compose.ColumnTransformer([("codes", pre.OneHotEncoder(handle_unknown="ignore"), ["old"])], remainder="passthrough")
    save("columns_of_codes", pipeline.make_pipeline(codes, ensemble.RandomForestRegressor(5, **seed)), flat, price, separate=True)
    save("columns_by_their_highest", pipeline.make_pipeline(pre.MaxAbsScaler(), linear_model.Ridge()), flat, price, False, separate=True)
    flags = flat.assign(old=houses["old"].astype(bool))
    plain_columns = compose.ColumnTransformer([("all", "passthrough", list(flags.columns))])
    save("columns_of_truth_values", pipeline.make_pipeline(plain_columns, ensemble.RandomForestRegressor(5, **seed)), flags, price, separate=True)
    save("columns_one_hot", pipeline.make_pipeline(one_hot, ensemble.RandomForestRegressor(10, **seed)), houses, price, separate=True)
    save("columns_ranks", pipeline.make_pipeline(ranks, ensemble.GradientBoostingRegressor(**seed)), houses, price, separate=True)
    dear = np.where(price > 200_000, "dear", "cheap")
    save("columns_logistic", pipeline.make_pipeline(one_hot, linear_model.LogisticRegression(max_iter=300)), houses, dear, False, separate=True)


def other_models(cases):
    """Graphs of operators that only ONNX Runtime has."""
    from skl2onnx import to_onnx
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, pipeline, svm, tree
    from sklearn import preprocessing as pre

    iris, three = numbers(load_iris())
    cancer, two = numbers(load_breast_cancer())
    diabetes, value = numbers(load_diabetes())
    for name, model, frame, target in [
        # A Scan, whose body is a graph inside the node.
        ("neighbours", neighbors.KNeighborsClassifier(5), iris, three),
        ("neighbours_numbers", neighbors.KNeighborsRegressor(3), diabetes, value),
        ("naive_bayes", naive_bayes.GaussianNB(), iris, three),
        ("support_vectors", svm.SVR(), diabetes, value),
        ("bagging", ensemble.BaggingClassifier(tree.DecisionTreeClassifier(max_depth=3), 4, random_state=1), cancer, two),
        ("gradient_descent", linear_model.SGDClassifier(loss="log_loss", random_state=1), iris, three),
        ("dense_two", neural_network.MLPClassifier((5,), max_iter=30, random_state=1), cancer, two),
        ("polynomial", pipeline.make_pipeline(pre.PolynomialFeatures(2), linear_model.Ridge()), diabetes, value),
    ]:
        values = frame.to_numpy().astype(np.float32)
        data = to_onnx(model.fit(values, target), values[:1]).SerializeToString()
        with open(os.path.join(cases.folder, f"{name}.onnx"), "wb") as file:
            file.write(data)
        classes = sorted(set(target.tolist())) if hasattr(model, "predict_proba") else None
        found = session(data).run(None, {"X": values})[-1]
        if isinstance(found, list):
            found = [[row[label] for label in classes] for row in found]
        cases.add(name, f"{name}.onnx", frame, found, classes, exact=True)
    data = nested_graph()
    with open(os.path.join(cases.folder, "nested.onnx"), "wb") as file:
        file.write(data)
    frame = diabetes.iloc[:, :2]
    cases.add("nested", "nested.onnx", frame, session(data).run(None, {"X": frame.to_numpy()})[0], exact=True)


def nested_graph():
    """A Loop with an If in it: both take values from around them, and names inside are those outside too."""
    from onnx import TensorProto, helper, numpy_helper

    node, value, array = helper.make_node, helper.make_tensor_value_info, numpy_helper.from_array
    kind = TensorProto.FLOAT
    higher = helper.make_graph([node("Add", ["sum", "first"], ["out"])], "higher", [], [value("out", kind, None)])
    lower = helper.make_graph([node("Mul", ["sum", "half"], ["scaled"]), node("Sub", ["scaled", "second"], ["out"])],
                              "lower", [], [value("out", kind, None)], [array(np.float32(0.5), "half")])
    body = helper.make_graph(
        [node("Less", ["turn", "two"], ["early"]), node("Identity", ["go"], ["go_on"]),
         node("If", ["early"], ["next"], then_branch=higher, else_branch=lower)],
        "body", [value("turn", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("sum", kind, None)],
        [value("go_on", TensorProto.BOOL, []), value("next", kind, None)], [array(np.int64(2), "two")])
    graph = helper.make_graph(
        [node("Gather", ["X", "zero"], ["first"], axis=1), node("Gather", ["X", "one"], ["second"], axis=1),
         node("Loop", ["turns", "", "second"], ["out"], body=body)],
        "nested", [value("X", kind, [None, 2])], [value("out", kind, [None, 1])],
        [array(np.array([0]), "zero"), array(np.array([1]), "one"), array(np.int64(4), "turns")])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    return model.SerializeToString()


def operators(cases):
    """Each operator by itself: what ONNX Runtime says of it, on values that meet its edges."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(5)
    values = rng.normal(size=(400, 3)).astype(np.float32).round(1)
    values[::7, 1] = np.nan
    values[::11, 1] = 0
    values[::13, 0] = np.inf
    values[::17, 2] = -np.inf
    values[::19] = 0
    holes = pd.DataFrame(values, columns=["a", "b", "c"])
    finite = pd.DataFrame(rng.normal(size=(400, 3)).astype(np.float32), columns=["a", "b", "c"])
    finite.iloc[::19] = 0

    def save(name, nodes, frame, exact=True, ml=3, opset=18, **constants):
        """`nodes` lead from X to Y, of which the second column is the answer, where it has several."""
        nodes = [helper.make_node(operator, inputs, outputs, domain=domain, **attributes)
                 for operator, domain, inputs, outputs, attributes in nodes]
        constants = [numpy_helper.from_array(value, key) for key, value in constants.items()]
        graph = helper.make_graph(
            nodes, "operator", [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 3])],
            [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, None])], constants)
        model = helper.make_model(graph, ir_version=10, opset_imports=[
            helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)])
        data = model.SerializeToString()
        with open(os.path.join(cases.folder, f"{name}.onnx"), "wb") as file:
            file.write(data)
        found = session(data).run(None, {"X": frame.to_numpy()})[0]
        cases.add(name, f"{name}.onnx", frame, found, exact=exact)

    ml = "ai.onnx.ml"

    def second(name, operator, domain, frame, exact=True, constants={}, inputs=("X",), **attributes):
        save(name, [(operator, domain, list(inputs), ["Z"], attributes),
                    ("ArrayFeatureExtractor", ml, ["Z", "one"], ["Y"], {})], frame, exact, one=np.array([1]), **constants)

    row = np.array([0.5, 3.0, -2.0], dtype=np.float32)
    second("scaler", "Scaler", ml, holes, offset=[0.1, 0.2, 0.3], scale=[2.0, 0.7, 0.3])
    second("scaler_of_one", "Scaler", ml, holes, offset=[0.1], scale=[0.3])
    second("imputer_of_nan", "Imputer", ml, holes, imputed_value_floats=[1.0, 0.7, 3.0], replaced_value_float=float("nan"))
    second("imputer_of_zero", "Imputer", ml, holes, imputed_value_floats=[0.7], replaced_value_float=0.0)
    for norm in ("MAX", "L1", "L2"):
        second(f"normalizer_{norm}", "Normalizer", ml, finite, norm=norm)
    second("binarizer", "Binarizer", ml, finite, threshold=0.1)
    for operator in ("Add", "Sub", "Mul", "Div"):
        second(f"row_{operator}", operator, "", holes, constants={"row": row}, inputs=("X", "row"))
        second(f"row_first_{operator}", operator, "", holes, constants={"row": row.reshape(1, 3)}, inputs=("row", "X"))
        second(f"scalar_{operator}", operator, "", holes, constants={"row": np.float32(0.3)}, inputs=("X", "row"))
    for operator in ("Relu", "Abs", "Neg", "Floor", "Identity"):
        second(f"function_{operator}", operator, "", finite)
    for operator in ("Exp", "Tanh", "Sigmoid"):
        second(f"function_{operator}", operator, "", finite, False)
    second("clip", "Clip", "", finite, constants={"low": np.float32(-0.5), "high": np.float32(0.25)}, inputs=("X", "low", "high"))
    weights = rng.normal(size=(3, 2)).astype(np.float32)
    second("product", "MatMul", "", finite, False, {"weights": weights}, ("X", "weights"))
    bias = np.array([0.25, 0.5], dtype=np.float32)
    second("gemm", "Gemm", "", finite, False, {"weights": weights, "bias": bias}, ("X", "weights", "bias"))
    second("gemm_turned", "Gemm", "", finite, False, {"weights": np.ascontiguousarray(weights.T), "bias": bias},
           ("X", "weights", "bias"), transB=1)
    second("gemm_weighed", "Gemm", "", finite, False, {"weights": weights, "bias": bias}, ("X", "weights", "bias"),
           alpha=0.5, beta=3.0)
    second("pair_Div", "Div", "", holes, inputs=("X", "X"))
    save("pair_Sub", [("Abs", "", ["X"], ["A"], {}), ("Sub", "", ["A", "X"], ["B"], {}),
                      ("ArrayFeatureExtractor", ml, ["B", "one"], ["Y"], {})], holes, one=np.array([1]))
    save("whole_numbers", [("Cast", "", ["X"], ["A"], {"to": TensorProto.INT64}),
                           ("Cast", "", ["A"], ["B"], {"to": TensorProto.FLOAT}),
                           ("Gather", "", ["B", "one"], ["Y"], {"axis": -1})], holes * 3, one=np.array([1]))
    save("truth_values", [("Cast", "", ["X"], ["A"], {"to": TensorProto.BOOL}),
                          ("Cast", "", ["A"], ["B"], {"to": TensorProto.FLOAT}),
                          ("ArrayFeatureExtractor", ml, ["B", "one"], ["Y"], {})], holes, one=np.array([1]))
    save("side_by_side", [("FeatureVectorizer", ml, ["X", "X"], ["A"], {"inputdimensions": [3, 3]}),
                          ("ArrayFeatureExtractor", ml, ["A", "last"], ["Y"], {})], holes, last=np.array([4]))
    second("gathered", "Gather", "", holes, constants={"places": np.array([2, 0])}, inputs=("X", "places"), axis=1)
    save("stacked", [("ArrayFeatureExtractor", ml, ["X", "one"], ["A"], {}), ("Concat", "", ["X", "A"], ["B"], {"axis": 1}),
                     ("ArrayFeatureExtractor", ml, ["B", "last"], ["Y"], {})], holes, one=np.array([1]), last=np.array([3]))
    save("one_hot_of_numbers", [("ArrayFeatureExtractor", ml, ["X", "first"], ["A"], {}),
                                ("OneHotEncoder", ml, ["A"], ["B"], {"cats_int64s": [-1, 0, 1], "zeros": 1}),
                                ("Reshape", "", ["B", "shape"], ["C"], {}),
                                ("ArrayFeatureExtractor", ml, ["C", "first"], ["Y"], {})],
         finite, first=np.array([0]), shape=np.array([-1, 3]))

    def ensemble(mode, threshold, track, aggregate="SUM", base=None):
        # Two trees whose nodes are out of order, but for their roots.
        found = {
            "n_targets": 1, "aggregate_function": aggregate, "post_transform": "NONE",
            "nodes_treeids": [0, 0, 0, 0, 0, 4, 4, 4], "nodes_nodeids": [7, 3, 4, 1, 2, 0, 2, 1],
            "nodes_modes": [mode, "LEAF", "BRANCH_LEQ", "LEAF", "LEAF", mode, "LEAF", "LEAF"],
            "nodes_featureids": [1, 0, 0, 0, 0, 2, 0, 0],
            "nodes_values": [threshold, 0.0, 0.3, 0.0, 0.0, -threshold, 0.0, 0.0],
            "nodes_truenodeids": [4, 0, 3, 0, 0, 1, 0, 0], "nodes_falsenodeids": [2, 0, 1, 0, 0, 2, 0, 0],
            "nodes_missing_value_tracks_true": [track, 0, 1 - track, 0, 0, track, 0, 0],
            "target_treeids": [4, 0, 0, 0, 4], "target_nodeids": [1, 1, 2, 3, 2], "target_ids": [0] * 5,
            "target_weights": [0.1, 0.2, 0.4, 0.8, 1.6],
        }
        return found | ({"base_values": [base]} if base is not None else {})

    for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"):
        for track in (0, 1):
            for threshold in (0.0, 0.5):
                name = f"branch_{mode}_{track}_{threshold}"
                save(name, [("TreeEnsembleRegressor", ml, ["X"], ["Y"], ensemble(f"BRANCH_{mode}", threshold, track))], holes)
    save("base_comes_last", [("TreeEnsembleRegressor", ml, ["X"], ["Y"], ensemble("BRANCH_LEQ", 0.1, 1, base=1e-7))], holes)
    tensor = lambda name, values, kind: helper.make_tensor(name, kind, [len(values)], values)
    fifth = {
        "n_targets": 1, "aggregate_function": 1, "post_transform": 0, "tree_roots": [0, 2],
        "nodes_featureids": [0, 1, 2], "nodes_modes": tensor("modes", [1, 6, 3], TensorProto.UINT8),
        "nodes_splits": tensor("splits", [0.5, 0.0, 0.0], TensorProto.FLOAT),
        "membership_values": tensor("members", [0.0, 1.0, 4.0, float("nan")], TensorProto.FLOAT),
        "nodes_truenodeids": [1, 0, 2], "nodes_trueleafs": [0, 1, 1], "nodes_falsenodeids": [4, 1, 3], "nodes_falseleafs": [1, 1, 1],
        "nodes_missing_value_tracks_true": [0, 0, 1], "leaf_targetids": [0] * 5,
        "leaf_weights": tensor("weights", [0.1, 0.2, 0.4, 0.8, 1.6], TensorProto.FLOAT),
    }
    # ONNX Runtime cuts fractions off before it looks for a member, which ONNX does not say.
    whole = holes.assign(b=holes["b"].fillna(0).round().clip(lower=0) * 2)
    save("tree_ensemble_of_version_5", [("TreeEnsemble", ml, ["X"], ["Y"], fifth)], whole, ml=5)


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
            alike = (found_scores == answers) | (np.isnan(found_scores) & np.isnan(answers))
            bad = np.flatnonzero(~alike)
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
    if sys.argv[1] == "library":
        folder = os.path.join(os.path.dirname(onnxruntime.__file__), "capi")
        print(next(os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.startswith("libonnxruntime.so")))
        return
    action, folder = sys.argv[1:3]
    if action == "check":
        check(folder)
        return
    os.makedirs(folder, exist_ok=True)
    cases = Cases(folder)
    if sys.argv[3] == "boosted":
        lightgbm_models(cases)
        xgboost_models(cases)
    elif sys.argv[3] == "sklearn":
        sklearn_models(cases)
    elif sys.argv[3] == "others":
        other_models(cases)
    else:
        operators(cases)
    cases.write()


main()
