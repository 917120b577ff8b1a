"""Classical models: as ONNX Runtime computes them, and never equal where one attribute differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from helpers.exactly import as_runtime, one_node
from onnx_n2n.exact import check

FEATURES = np.random.default_rng(0).normal(size=(5, 3)).astype("f4")
TREE = {
    "nodes_treeids": [0] * 5, "nodes_nodeids": [0, 1, 2, 3, 4], "nodes_featureids": [1, 0, 0, 0, 0],
    "nodes_values": [0.2, 0.0, 0.5, 0.0, 0.0], "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 3, 0, 0], "nodes_falsenodeids": [2, 0, 4, 0, 0],
}  # fmt: skip
CLASSES = {
    "class_treeids": [0] * 3, "class_nodeids": [1, 3, 4], "class_ids": [0, 1, 2], "class_weights": [1.0, 2.0, 3.0],
    "classlabels_int64s": [3, 4, 5], **TREE,
}  # fmt: skip
TARGETS = {
    "target_treeids": [0] * 3, "target_nodeids": [1, 3, 4], "target_ids": [0, 0, 0], "target_weights": [1.0, 2.0, 3.0],
    "n_targets": 1, **TREE,
}  # fmt: skip
SVM = {
    "coefficients": [0.5, -1.0], "support_vectors": [1.0, 2.0, 3.0, 0.0, 1.0, 0.5], "rho": [0.3], "n_supports": 2,
    "kernel_type": "RBF", "kernel_params": [0.3, 0.0, 3.0],
}  # fmt: skip
LINEAR = {"coefficients": [0.1 * each for each in range(9)], "intercepts": [1.0, 2.0, 0.5]}
BINARY = {"coefficients": [0.5, -1.0, 2.0, -0.5, 1.0, -2.0], "intercepts": [1.0, 2.0], "classlabels_ints": [0, 1]}
NUMBERS = np.array([[1, 2, 7], [3, 9, 2]], np.int64)

# An operator, its inputs and attributes, and one attribute after another that makes it something else.
CASES: list[tuple[str, list[np.ndarray], dict[str, Any], dict[str, Any]]] = [
    (
        "Scaler", [FEATURES], {"offset": [1.0, 2.0, 3.0], "scale": [2.0, 3.0, 4.0]},
        {"offset": [1.0, 2.0, 3.5], "scale": [2.0, 3.5, 4.0]},
    ),
    ("Binarizer", [FEATURES], {"threshold": 0.5}, {"threshold": 0.25}),
    (
        "Imputer", [np.where(FEATURES > 0.5, 7, FEATURES).astype("f4")],
        {"imputed_value_floats": [1.0, 2.0, 3.0], "replaced_value_float": 7.0},
        {"imputed_value_floats": [1.0, 2.0, 4.0], "replaced_value_float": 6.0},
    ),
    (
        "Imputer", [NUMBERS], {"imputed_value_int64s": [5], "replaced_value_int64": 2},
        {"imputed_value_int64s": [4], "replaced_value_int64": 3},
    ),
    ("OneHotEncoder", [NUMBERS], {"cats_int64s": [1, 2, 3]}, {"cats_int64s": [1, 2, 4], "zeros": 0}),
    ("OneHotEncoder", [FEATURES * 4], {"cats_int64s": [0, 1, 2]}, {"cats_int64s": [1, 0, 2]}),
    ("Normalizer", [FEATURES], {"norm": "MAX"}, {"norm": "L1"}),
    ("Normalizer", [FEATURES], {"norm": "L1"}, {"norm": "L2"}),
    ("Normalizer", [FEATURES], {"norm": "L2"}, {"norm": "MAX"}),
    (
        "LabelEncoder", [NUMBERS], {"keys_int64s": [1, 2], "values_floats": [0.5, 0.25]},
        {"keys_int64s": [1, 3], "values_floats": [0.5, 0.125], "default_float": 2.0},
    ),
    (
        "LabelEncoder", [NUMBERS], {"keys_int64s": [1, 2], "values_int64s": [5, 6]},
        {"values_int64s": [6, 5], "default_int64": 3},
    ),
    (
        "LinearRegressor", [FEATURES], {**LINEAR, "targets": 3},
        {"intercepts": [1.0, 2.0, 0.25], "coefficients": [0.1] * 9, "post_transform": "LOGISTIC"},
    ),
    (
        "SVMRegressor", [FEATURES], SVM,
        {"rho": [0.2], "kernel_params": [0.2, 0.0, 3.0], "kernel_type": "LINEAR", "coefficients": [0.5, 1.0]},
    ),
    (
        "TreeEnsembleRegressor", [FEATURES], TARGETS,
        {"nodes_values": [0.2, 0.0, 0.25, 0.0, 0.0], "target_weights": [1.0, 2.0, 4.0], "aggregate_function": "MAX"},
    ),
    (
        "TreeEnsembleClassifier", [FEATURES], CLASSES,
        {"nodes_featureids": [1, 0, 2, 0, 0], "classlabels_int64s": [3, 5, 4], "post_transform": "SOFTMAX"},
    ),
    *(
        ("LinearClassifier", [FEATURES], {**each, "post_transform": name}, {"intercepts": each["intercepts"][::-1]})
        for each in ({**LINEAR, "classlabels_ints": [4, 5, 6], "multi_class": 1}, BINARY)
        for name in ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO")
    ),
]  # fmt: skip


def built(operator: str, inputs: list[np.ndarray], attributes: dict[str, Any]) -> tuple[onnx.ModelProto, Any]:
    outputs = 2 if operator.endswith("Classifier") else 1
    return one_node(operator, inputs, outputs, domain="ai.onnx.ml", opset=3, **attributes)


@pytest.mark.parametrize(("operator", "inputs", "attributes", "changes"), CASES)
def test_each_operator(
    operator: str, inputs: list[np.ndarray], attributes: dict[str, Any], changes: dict[str, Any]
) -> None:  # fmt: skip
    made, feeds = built(operator, inputs, attributes)
    as_runtime(made, feeds)
    assert check(made, made).state == "equal"
    for name, value in changes.items():
        changed, _ = built(operator, inputs, {**attributes, name: value})
        assert check(changed, changed).state == "equal", name
        assert check(made, changed).state != "equal", name


def test_a_linear_model_is_a_product() -> None:
    """Coefficients in one node are what two other nodes compute."""
    matrix = np.array(LINEAR["coefficients"], "f4").reshape(3, 3)
    one, _ = built("LinearRegressor", [FEATURES], {**LINEAR, "targets": 3})
    two, _ = one_node("Gemm", [FEATURES, matrix, np.array(LINEAR["intercepts"], "f4")], opset=21, transB=1)
    assert check(one, two).state == "equal"
    wrong, _ = one_node("Gemm", [FEATURES, matrix, np.array(LINEAR["intercepts"], "f4")], opset=21)
    assert check(one, wrong).state != "equal"


def test_features_are_picked_and_put_together() -> None:
    picked = [one_node("ArrayFeatureExtractor", [FEATURES, np.array([each])], domain="ai.onnx.ml", opset=3)
              for each in ([0, 2], [2, 0])]  # fmt: skip
    for made, feeds in picked:
        as_runtime(made, feeds)
    assert check(picked[0][0], picked[1][0]).state != "equal"
    joined, feeds = one_node(
        "FeatureVectorizer", [FEATURES, FEATURES[:, :2]], domain="ai.onnx.ml", opset=3, given=(0, 1),
        inputdimensions=[3, 2],
    )  # fmt: skip
    as_runtime(joined, feeds)
    assert check(joined, joined).state == "equal"


def test_maps_are_compared_by_label_and_number() -> None:
    def zipped(**attributes: Any) -> onnx.ModelProto:
        return one_node("ZipMap", [FEATURES], domain="ai.onnx.ml", opset=3, **attributes)[0]

    assert check(zipped(classlabels_int64s=[1, 2, 3]), zipped(classlabels_int64s=[1, 2, 3])).state == "equal"
    for other in ({"classlabels_int64s": [1, 3, 2]}, {"classlabels_strings": ["1", "2", "3"]}):
        verdict = check(zipped(classlabels_int64s=[1, 2, 3]), zipped(**other))
        assert verdict.state != "equal"
        assert "labels" in verdict.reason


def test_labels_that_are_texts() -> None:
    labels = [{**LINEAR, "classlabels_strings": each} for each in (["a", "b", "c"], ["a", "c", "b"])]
    one, two = (built("LinearClassifier", [FEATURES], each)[0] for each in labels)
    assert check(one, one).state == "equal"
    assert check(one, two).state != "equal"


@pytest.mark.parametrize("operator", ["CastMap", "DictVectorizer"])
def test_what_takes_a_map_is_undecided(operator: str) -> None:
    made, _ = built(operator, [FEATURES], {})
    verdict = check(made, made)
    assert verdict.state == "undecided"
    assert verdict.operator == operator
