"""Writes scikit-learn models as ONNX graphs in the shape that modelgate packages: one rank-1 input per column, outputs
`label` and `probability_<class>`, or `prediction`. Needs numpy and onnx; reads nothing that could run code.

Takes trees, forests, logistic regression and linear models over numeric columns; any other model is refused, `skl2onnx` may
take it. With `rows` the graph is asked for its answers to some of them, which have to be the model's own.
"""
import numpy as np
from onnx import TensorProto, checker, helper, save

TREES = {
    "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor",
    "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor",
}
LINEAR = {"LogisticRegression", "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV"}
# Rows that are asked for: the graph is run by onnx itself, row by row.
ASKED = 100

KINDS = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}


def columns_of(frame):
    """The columns of a pandas frame with their types in the graph."""
    for name, kind in frame.dtypes.items():
        if kind.kind not in "iuf":
            raise SystemExit(f"column {name} is {kind}: encode text as numbers before training, or let modelgate train")
    return {name: "int64" if kind.kind in "iu" else "float32" for name, kind in frame.dtypes.items()}


def refuse(sentence):
    raise SystemExit(f"{sentence}; `skl2onnx` may take it, see the page on migrating")


def check_kind(model):
    """Refuses what this file does not write as it is: another model's attributes can look like a forest's and mean another thing."""
    name = type(model).__name__
    if not type(model).__module__.startswith("sklearn.") or name not in TREES | LINEAR:
        refuse(f"{type(model).__module__}.{name} is none of {', '.join(sorted(TREES | LINEAR))}")
    if getattr(model, "n_outputs_", 1) != 1 or np.ndim(getattr(model, "coef_", [0])) > 2 or (
        name in LINEAR and not hasattr(model, "classes_") and np.ndim(model.coef_) != 1
    ):
        refuse(f"this {name} predicts several targets at once")
    if getattr(model, "multi_class", "auto") == "ovr" and len(model.classes_) > 2:
        refuse("this LogisticRegression is one against the rest, whose probabilities are no softmax")
    classes = getattr(model, "classes_", np.array([0]))
    if classes.dtype.kind not in "iuUO" or any(isinstance(one, (bool, float)) for one in classes.tolist()):
        refuse(f"its classes are of the type {classes.dtype}: fit it on whole numbers or text")


def below(thresholds):
    """The largest f32 that is not above each f64 threshold: an f32 value is on the same side of both."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded.astype(np.float64) > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def trees(model, kind):
    """The attributes of a tree ensemble; leaves hold shares of the whole forest's answer."""
    names = ["treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true"]
    found = {name: [] for name in names}
    leaf = {name: [] for name in ["treeids", "nodeids", "ids", "weights"]}
    estimators = getattr(model, "estimators_", [model])
    for number, estimator in enumerate(estimators):
        tree = estimator.tree_
        is_leaf = tree.children_left < 0
        found["treeids"] += [number] * tree.node_count
        found["nodeids"] += range(tree.node_count)
        found["modes"] += np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist()
        found["featureids"] += np.where(is_leaf, 0, tree.feature).tolist()
        found["values"] += np.where(is_leaf, 0, below(tree.threshold)).tolist()
        found["truenodeids"] += np.where(is_leaf, 0, tree.children_left).tolist()
        found["falsenodeids"] += np.where(is_leaf, 0, tree.children_right).tolist()
        # Trees that were fitted on missing values send them where they learned to.
        to_left = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))
        found["missing_value_tracks_true"] += np.where(is_leaf, 0, to_left).astype(int).tolist()
        for node in np.flatnonzero(is_leaf):
            values = tree.value[node, 0]
            if kind == "class":
                values = values / values.sum()
            for output, value in enumerate(values):
                leaf["treeids"].append(number)
                leaf["nodeids"].append(int(node))
                leaf["ids"].append(output)
                leaf["weights"].append(float(value / len(estimators)))
    attributes = {f"nodes_{name}": values for name, values in found.items()}
    return attributes | {f"{kind}_{name}": values for name, values in leaf.items()}


def compare(graph, model, columns, rows):
    """Refuses a graph whose answers to `rows` are not the model's."""
    from onnx.reference import ReferenceEvaluator

    values = np.asarray(rows)[:ASKED].astype(np.float32)
    inputs = {name: values[:, at].astype(kind) for at, (name, kind) in enumerate(columns.items())}
    names = [output.name for output in graph.graph.output]
    answers = ReferenceEvaluator(graph).run(names, inputs)
    if hasattr(model, "classes_"):
        found, expected = np.stack(answers[1:], axis=1), model.predict_proba(values)
    else:
        found, expected = answers[0], model.predict(values)
    distance = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    if not (distance < 1e-4).all():
        row = int(np.argmax(np.nan_to_num(distance, nan=np.inf).reshape(len(values), -1).max(axis=1)))
        raise SystemExit(f"the graph answers row {row} with {found[row]} and the model with {expected[row]}: it was not written")


def export(model, columns, path, rows=None):
    """Writes `model`, fitted on `columns` (name to `int64` or `float32`, in the order of the data), to `path`.

    `rows`, a frame or matrix of these columns, are what its answers are tried on first.
    """
    check_kind(model)
    axis = helper.make_tensor("axis_1", TensorProto.INT64, [1], [1])
    inputs = [helper.make_tensor_value_info(name, KINDS[kind], ["N"]) for name, kind in columns.items()]
    nodes, parts = [], []
    for number, (name, kind) in enumerate(columns.items()):
        if kind == "int64":
            nodes.append(helper.make_node("Cast", [name], [f"cast_{number}"], to=TensorProto.FLOAT))
            name = f"cast_{number}"
        nodes.append(helper.make_node("Unsqueeze", [name, "axis_1"], [f"column_{number}"]))
        parts.append(f"column_{number}")
    nodes.append(helper.make_node("Concat", parts, ["matrix"], axis=1))
    if hasattr(model, "classes_"):
        classes = model.classes_.tolist()
        kind, element = ("int64s", TensorProto.INT64) if isinstance(classes[0], int) else ("strings", TensorProto.STRING)
        labels = {f"classlabels_{kind}": classes}
        if hasattr(model, "coef_"):
            weights, bias = model.coef_, model.intercept_
            if len(classes) == 2:
                weights, bias = np.vstack([0 * weights, weights]), np.concatenate([0 * bias, bias])
            attributes = {"coefficients": weights.ravel().tolist(), "intercepts": bias.tolist(), "post_transform": "SOFTMAX"}
            estimator = "LinearClassifier"
            # The one operator whose attribute is named otherwise.
            labels = {labels_name.replace("int64s", "ints"): classes for labels_name in labels}
        else:
            attributes, estimator = trees(model, "class"), "TreeEnsembleClassifier"
        nodes.append(
            helper.make_node(estimator, ["matrix"], ["raw_label", "probabilities"], domain="ai.onnx.ml", **labels, **attributes)
        )
        # The first of the highest probabilities, as scikit-learn's argmax.
        nodes.append(helper.make_node("ArgMax", ["probabilities"], ["place"], axis=1, keepdims=0))
        encode = {"keys_int64s": list(range(len(classes))), f"values_{kind}": classes}
        nodes.append(helper.make_node("LabelEncoder", ["place"], ["label"], domain="ai.onnx.ml", **encode))
        wide = [f"wide_{number}" for number in range(len(classes))]
        nodes.append(helper.make_node("Split", ["probabilities"], wide, axis=1, num_outputs=len(classes)))
        outputs = [helper.make_tensor_value_info("label", element, ["N"])]
        for name, part in zip(classes, wide):
            nodes.append(helper.make_node("Squeeze", [part, "axis_1"], [f"probability_{name}"]))
            outputs.append(helper.make_tensor_value_info(f"probability_{name}", TensorProto.FLOAT, ["N"]))
    else:
        if hasattr(model, "coef_"):
            bias = np.ravel(model.intercept_).tolist()
            attributes, estimator = {"coefficients": model.coef_.tolist(), "intercepts": bias, "targets": 1}, "LinearRegressor"
        else:
            attributes, estimator = trees(model, "target") | {"n_targets": 1}, "TreeEnsembleRegressor"
        nodes.append(helper.make_node(estimator, ["matrix"], ["values"], domain="ai.onnx.ml", **attributes))
        nodes.append(helper.make_node("Squeeze", ["values", "axis_1"], ["prediction"]))
        outputs = [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["N"])]
    graph = helper.make_graph(nodes, "model", inputs, outputs, [axis])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx_model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(onnx_model)
    if rows is not None:
        compare(onnx_model, model, columns, rows)
    save(onnx_model, path)
