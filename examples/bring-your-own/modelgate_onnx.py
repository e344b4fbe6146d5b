"""Writes scikit-learn models as ONNX graphs in the shape that modelgate packages: one rank-1 input per column, outputs
`label` and `probability_<class>`, or `prediction`. Needs numpy and onnx; reads nothing that could run code.

Forests and single trees for classes and numbers, and logistic regression, over numeric columns.
"""
import numpy as np
from onnx import TensorProto, checker, helper, save

KINDS = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}


def columns_of(frame):
    """The columns of a pandas frame with their types in the graph."""
    for name, kind in frame.dtypes.items():
        if kind.kind not in "iuf":
            raise SystemExit(f"column {name} is {kind}: encode text as numbers before training, or let modelgate train")
    return {name: "int64" if kind.kind in "iu" else "float32" for name, kind in frame.dtypes.items()}


def below(thresholds):
    """The largest f32 that is not above each f64 threshold: an f32 value is on the same side of both."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded.astype(np.float64) > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def trees(model, kind):
    """The attributes of a tree ensemble; leaves hold shares of the whole forest's answer."""
    found = {name: [] for name in ["treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids"]}
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


def export(model, columns, path):
    """Writes `model`, fitted on `columns` (name to `int64` or `float32`, in the order of the data), to `path`."""
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
        attributes = trees(model, "target")
        nodes.append(
            helper.make_node(
                "TreeEnsembleRegressor", ["matrix"], ["values"], domain="ai.onnx.ml", n_targets=1, **attributes
            )
        )
        nodes.append(helper.make_node("Squeeze", ["values", "axis_1"], ["prediction"]))
        outputs = [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["N"])]
    graph = helper.make_graph(nodes, "model", inputs, outputs, [axis])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx_model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(onnx_model)
    save(onnx_model, path)
