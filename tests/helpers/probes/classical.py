"""Probes of ai.onnx.ml, whose models have their weights in attributes."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, case, flat

CASES: dict[str, list[Case]] = {}

PINNED = {"ZipMap"}
ML = "ai.onnx.ml"
CODES = f'a = Floor(h) i = Cast<to=7>(a) s = {ML}.LabelEncoder<classes_strings=["x", "y", "z"], default_string="w">(i)'
CLASSES = "classlabels_ints=[0, 1, 2]"
CASES["LabelEncoder"] = [
    case(f'{CODES} z = {ML}.LabelEncoder<classes_strings=["y", "x", "z"], default_int64=7>(s)', 12),
]
CASES["CategoryMapper"] = [
    case(f'{CODES} z = {ML}.CategoryMapper<cats_strings=["y", "x"], cats_int64s=[4, 2], default_int64=7>(s)', 12),
]
CASES["Binarizer"] = [case(f"z = {ML}.Binarizer<threshold=0.1>(h)", 12)]
CASES["Scaler"] = [
    flat(f"z = {ML}.Scaler<offset=[0.5], scale=[2.0]>(h)", 12),
    flat(f"s = {ML}.Scaler<offset=[0.5, 0.1, 0.2], scale=[2.0, 1.0, 0.5]>(x) k = MatMul(s, w) z = Add(h, k)", 12,
         w=(3, 12)),
    flat(f"t = Transpose(h) s = {ML}.Scaler<offset=[0.5, 0.1, 0.2, 0.3], scale=[2.0, 1.0, 0.5, 3.0]>(t)", 12, close=0,
         ends="s"),
]
CASES["Imputer"] = [
    flat(f"z = {ML}.Imputer<imputed_value_floats=[0.5], replaced_value_float=0.0>(h)", 12),
    flat(f"t = Transpose(h) s = {ML}.Imputer<imputed_value_floats=[0.5, 0.1, 0.2, 0.3], replaced_value_float=0.0>(t)",
         12, close=0, ends="s"),
]
CASES["Normalizer"] = [
    flat(f't = Transpose(h) z = {ML}.Normalizer<norm="L2">(t)', 12, close=0),
    flat(f's = {ML}.Normalizer<norm="L1">(x) k = MatMul(s, w) z = Add(h, k)', 12, w=(3, 12)),
]
CASES["FeatureVectorizer"] = [
    flat(f"k = MatMul(x, w) z = {ML}.FeatureVectorizer<inputdimensions=[12, 5]>(h, k)", 5, 12, w=(3, 5)),
    flat(f"k = MatMul(x, w) a = Relu(k) b = MatMul(a, u) z = {ML}.FeatureVectorizer<inputdimensions=[12, 4]>(h, b) "
         "y = Relu(b)", 5, close=-1, ends="z y", w=(3, 5), u=(5, 5)),
]
CASES["OneHotEncoder"] = [
    case(f"a = Floor(h) i = Cast<to=7>(a) z = {ML}.OneHotEncoder<cats_int64s=[-1, 0, 1], zeros=1>(i)", 12),
]
CASES["ArrayFeatureExtractor"] = [
    flat(f"t = Transpose(h) z = {ML}.ArrayFeatureExtractor(t, i)", 12, close=0, i=[2, 0, 1]),
]
TURN = "t = Transpose(h)"
TREE = (
    "nodes_falsenodeids=[2, 0, 0], nodes_featureids=[1, 0, 0], nodes_hitrates=[1.0, 1.0, 1.0], "
    'nodes_missing_value_tracks_true=[0, 0, 0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_nodeids=[0, 1, 2], '
    "nodes_treeids=[0, 0, 0], nodes_truenodeids=[1, 0, 0], nodes_values=[0.1, 0.0, 0.0]"
)
KERNEL = (
    'coefficients=[0.5, -1.0], kernel_params=[0.5, 0.0, 3.0], kernel_type="RBF", rho=[0.1], '
    f"support_vectors={np.linspace(-1, 1, 8).round(2).tolist()}"
)
CASES["LinearRegressor"] = [
    flat(f"{TURN} z = {ML}.LinearRegressor<coefficients=[0.5, 1.0, 2.0, -1.0], intercepts=[0.1]>(t)", 12, close=0),
    flat(f"{TURN} z = {ML}.LinearRegressor<targets=2, coefficients=[0.5, 1.0, 2.0, -1.0, 0.1, 0.2, -0.5, 0.7]>(t)", 12,
         close=0),
]
CASES["LinearClassifier"] = [
    flat(f"{TURN} c, z = {ML}.LinearClassifier<{CLASSES}, coefficients=[0.5, 1.0, 2.0, -1.0, 0.1, 0.2, -0.5, 0.7, "
         "0.3, -0.2, 0.4, 0.6], intercepts=[0.1, 0.2, 0.3]>(t)", 12, close=0, ends="c z"),
]
CASES["SVMRegressor"] = [flat(f"{TURN} z = {ML}.SVMRegressor<{KERNEL}, n_supports=2>(t)", 12, close=0)]
CASES["SVMClassifier"] = [
    flat(f"{TURN} c, z = {ML}.SVMClassifier<classlabels_ints=[0, 1], {KERNEL}, vectors_per_class=[1, 1]>(t)", 12,
         close=0, ends="c z"),
]
CASES["TreeEnsembleRegressor"] = [
    flat(f"{TURN} z = {ML}.TreeEnsembleRegressor<n_targets=1, {TREE}, target_ids=[0, 0], target_nodeids=[1, 2], "
         "target_treeids=[0, 0], target_weights=[1.5, -0.5]>(t)", 12, close=0),
]
CASES["TreeEnsembleClassifier"] = [
    flat(f"{TURN} c, z = {ML}.TreeEnsembleClassifier<classlabels_int64s=[0, 1, 2], {TREE}, class_ids=[0, 1], "
         "class_nodeids=[1, 2], class_treeids=[0, 0], class_weights=[0.75, 1.25]>(t)", 12, close=0, ends="c z"),
]
CASES["ZipMap"] = [
    flat(f"k = MatMul(x, w) a = Softmax(k) m = {ML}.ZipMap<classlabels_int64s=[0, 1, 2, 3, 4]>(a) z = Relu(h)", 12,
         w=(3, 5)),
]
