"""Classical machine learning, ``ai.onnx.ml``: exact where it is linear, else functions of each row of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_n2n.exact.functions import define
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.opaque import by_element, by_row
from onnx_n2n.exact.operators.sequences import cut
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import FLOAT, INT64, STRING, Map, Tensor, Value
from onnx_n2n.exact.undecided import Undecided

ML = "ai.onnx.ml"


def _imputed(x: np.ndarray, imputed: np.ndarray, replaced: str) -> np.ndarray:
    missing = np.isnan(x) if replaced == "nan" else x == float(replaced)
    return np.where(missing, imputed, x)


def _normal(x: np.ndarray, norm: str) -> np.ndarray:
    """Return rows divided by their norm; rows of zeros as they are."""
    norms = {"MAX": x.max, "L1": np.abs(x).sum, "L2": lambda *axes, **kept: np.sqrt((x * x).sum(*axes, **kept))}
    under = norms[norm](-1, keepdims=True)
    return np.asarray(x / np.where(under == 0, 1, under))


NORMAL = define("Normalizer", _normal)
IMPUTED = define("Imputed", _imputed)
CATEGORY = define("Category", lambda x, category, zeros: (np.trunc(x) == category) * 1.0)  # noqa: ARG005


@rule("Scaler", domain=ML)
def scaler(site: Site) -> Tensor:
    """Return ``(x - offset) * scale``, for all features or for each its own."""
    x = site.numbers(0)
    offset, scale = site.attribute("offset"), site.attribute("scale")
    x = x if not offset else x - _features(site, offset, x)
    return site.result(x if not scale else x * _features(site, scale, x), FLOAT)


@rule("Binarizer", domain=ML)
def binarizer(site: Site) -> Tensor:
    """Return 1 for numbers above a threshold, 0 for the others."""
    return site.result(site.world.apply("Less", (), site.setting("threshold", 0.0), site.numbers(0)))


@rule("Imputer", domain=ML)
def imputer(site: Site) -> Tensor:
    """Put a number, one for each feature or for all, in place of one that means that it is missing."""
    x, kind = site.numbers(0), "float" if site.tensor(0).real else "int64"
    replaced = site.attribute(f"replaced_value_{kind}", 0)
    imputed = site.attribute(f"imputed_value_{kind}s")
    if not imputed:
        raise Undecided(f"there is no imputed_value_{kind}s")
    return site.result(site.world.apply(IMPUTED, (repr(replaced),), x, _features(site, imputed, x)))


@rule("OneHotEncoder", domain=ML)
def one_hot_encoder(site: Site) -> Tensor:
    """Return for each category whether a number, cut to a whole one, or a text is that."""
    x, texts = site.numbers(0), site.tensor(0).type == STRING
    names = site.attribute("cats_strings" if texts else "cats_int64s")
    if not names:
        raise Undecided("there are no categories for the type of the input")
    categories = site.world.texts(_texts(names)) if texts else site.world.enter(np.array(names, np.int64))
    zeros = site.attribute("zeros", 1)
    return site.result(site.world.apply(CATEGORY, (zeros,), x.reshape((*x.shape, 1)), categories), FLOAT)


@rule("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(site: Site) -> Tensor:
    """Pick features, along the last axis."""
    x, places = site.tensor(0), site.known(1).reshape(-1)
    if not site.tensor(1).certain:
        raise Undecided("which features are picked depends on the lengths of free axes")
    shape = (*x.shape[:-1], len(places)) if len(x.shape) > 1 else (1, len(places))
    picked = cut(x, (..., places))
    site.run.read(picked)
    return site.result(site.run.numbers(picked).reshape(shape))


@rule("FeatureVectorizer", domain=ML)
def feature_vectorizer(site: Site) -> Tensor:
    """Put features one behind the other."""
    parts = [_rows(site.numbers(slot)) for slot in range(site.count)]
    lengths = site.attribute("inputdimensions")
    if lengths and list(lengths) != [each.shape[-1] for each in parts]:
        raise Undecided("inputdimensions are not the lengths of the inputs")
    return site.result(parts[0].joined(parts[1:], 1), FLOAT)


@rule("Normalizer", domain=ML)
def normalizer(site: Site) -> Tensor:
    """Divide the features of each row by a norm of them."""
    x, norm = site.numbers(0), site.attribute("norm", "MAX")
    if norm not in {"MAX", "L1", "L2"}:
        raise Undecided(f"there is no norm {norm!r}")
    return site.result(site.world.of_rows(NORMAL, (norm,), x, -1, x.shape[-1]), FLOAT)


@rule("CategoryMapper", "LabelEncoder", domain=ML)
def labels(site: Site) -> Tensor:
    """Look each element up."""
    texts = site.tensor(0).type == STRING
    if site.operator == "CategoryMapper" or site.version == 1:
        return site.result(by_element(site, site.numbers(0)), INT64 if texts else STRING)
    types = {"values_strings": STRING, "values_int64s": INT64, "values_floats": FLOAT}
    given = [type_ for name, type_ in types.items() if site.attribute(name)]
    table = site.attribute("values_tensor")
    given += [] if table is None else [table.data_type]
    if len(given) != 1:
        raise Undecided("there is not one list of values")
    return site.result(by_element(site, site.numbers(0)), given[0])


@rule("LinearRegressor", domain=ML)
def linear_regressor(site: Site) -> Tensor:
    """Return ``x @ coefficients + intercepts``, and a function of each row where there is one."""
    targets = site.attribute("targets", 1)
    scores = _linear(site, targets)
    if site.attribute("post_transform", "NONE") != "NONE":
        scores = by_row(site, scores, targets, **_identity(targets))
    return site.result(scores, FLOAT)


@rule("LinearClassifier", domain=ML)
def linear_classifier(site: Site) -> list[Tensor]:
    """Return label and scores, as functions of ``x @ coefficients + intercepts``."""
    names, type_ = _classes(site, "ints")
    scores = _linear(site, None)
    rows = scores.shape[-1]
    if rows != len(names) and (rows, len(names)) != (1, 2):
        raise Undecided(f"there are {rows} scores for {len(names)} classes")
    label = by_row(site, scores, 1, **_identity(rows)).reshape(scores.shape[:-1])
    return [
        site.result(label, type_),
        site.result(by_row(site, scores, len(names), 1, **_identity(rows)), FLOAT),
    ]


@rule("SVMClassifier", "TreeEnsembleClassifier", domain=ML)
def classifiers(site: Site) -> list[Tensor]:
    """Return label and scores, as functions of each row of features."""
    svm = site.operator == "SVMClassifier"
    names, type_ = _classes(site, "ints" if svm else "int64s")
    x, count = _rows(site.numbers(0)), len(names)
    if svm and count > 2 and not site.attribute("prob_a") and site.attribute("vectors_per_class"):
        count = count * (count - 1) // 2  # one for each pair of classes
    label = by_row(site, x, 1).reshape(x.shape[:-1])
    return [site.result(label, type_), site.result(by_row(site, x, count, 1), FLOAT)]


@rule("SVMRegressor", "TreeEnsembleRegressor", "TreeEnsemble", domain=ML)
def regressors(site: Site) -> Tensor:
    """Return targets, as functions of each row of features."""
    x, count = _rows(site.numbers(0)), 1 if site.operator == "SVMRegressor" else site.attribute("n_targets")
    if count is None:
        raise Undecided("the number of targets is not given")
    return site.result(by_row(site, x, count), site.tensor(0).type if site.operator == "TreeEnsemble" else FLOAT)


@rule("ZipMap", domain=ML)
def zip_map(site: Site) -> Value:
    """Return a map from labels to scores for each row."""
    names, _ = _classes(site, "int64s")
    tensor = site.tensor(0)
    tensor = tensor if len(tensor.shape) > 1 else cut(tensor, None)
    if tensor.shape[1] != len(names):
        raise Undecided(f"there are {len(names)} labels for {tensor.shape[1]} scores")
    rows: list[Value] = [Map(tuple(names), cut(tensor, row)) for row in range(tensor.shape[0])]
    return [rows]


@rule("CastMap", "DictVectorizer", domain=ML)
def maps(site: Site) -> None:  # noqa: ARG001
    """Say that maps as inputs are not written: no operator that has a rule gives one that is no part of a sequence."""
    raise Undecided("a map is an input")


def _linear(site: Site, targets: int | None) -> Numbers:
    """Return ``x @ coefficients + intercepts``: [rows, features] and [targets * features] to [rows, targets]."""
    x, written = _rows(site.numbers(0)), np.array(site.attribute("coefficients"), np.float32)
    count = len(written) // x.shape[-1] if targets is None else targets
    if written.size != count * x.shape[-1] or not count:
        raise Undecided(f"{written.size} coefficients do not fit {x.shape[-1]} features")
    coefficients = site.world.enter(written.reshape(count, x.shape[-1]))
    intercepts = site.attribute("intercepts")
    scores: Numbers = x @ coefficients.transpose((1, 0))
    return scores + _features(site, intercepts, scores) if intercepts else scores


def _identity(count: int) -> dict[str, Any]:
    """Return the attributes of a linear model that gives what it is given."""
    return {"coefficients": np.eye(count, dtype=np.float32).reshape(-1).tolist(), "intercepts": [0.0] * count}


def _features(site: Site, written: Sequence[float], x: Numbers) -> Numbers:
    """Return numbers among the attributes, one for all features or for each its own."""
    if len(written) not in {1, x.shape[-1]}:
        raise Undecided(f"{len(written)} numbers are given for {x.shape[-1]} features")
    whole = all(isinstance(each, int) for each in written)
    numbers: Numbers = site.world.enter(np.array(written, np.int64 if whole else np.float32))
    return numbers


def _classes(site: Site, ending: str) -> tuple[list[Any], int]:
    """Return the labels of classes, and their type."""
    numbers, texts = site.attribute(f"classlabels_{ending}"), site.attribute("classlabels_strings")
    if bool(numbers) == bool(texts):
        raise Undecided("there is not one list of labels")
    return (list(numbers), INT64) if numbers else (_texts(texts).tolist(), STRING)


def _rows(x: Numbers) -> Numbers:
    """Return features as rows: [features] is one row."""
    if x.ndim not in {1, 2}:
        raise Undecided(f"features with {x.ndim} axes")
    return x if x.ndim == 2 else x.reshape((1, *x.shape))


def _texts(names: Sequence[Any]) -> np.ndarray:
    return np.array([each.decode() if isinstance(each, bytes) else str(each) for each in names], object)
