"""Operators of ai.onnx.ml, whose shapes onnx does not infer: scalers, encoders, and models with weights in attributes.

What stands in attributes stays as it is, so axes that meet it are pinned.
"""

from onnx_n2n.axes.algebra import UNIT, product, size
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.facts import Known
from onnx_n2n.rules.registry import declare, rule

ML = "ai.onnx.ml"
STATED = "its attributes have numbers for every feature"

declare("Binarizer CategoryMapper LabelEncoder", "*p -> *p", domain=ML)
declare("SVMRegressor TreeEnsembleRegressor", "n _ -> n _", domain=ML, why=STATED)
declare("LinearClassifier SVMClassifier TreeEnsembleClassifier", "n _ -> n, n _", domain=ML, why=STATED)


@rule("LinearRegressor", domain=ML)
def linear_regressor(context: Context) -> None:
    """``n _ -> n t``, where ``t``, which is pinned, is stated by ``targets``."""
    rows, features = context.axes(0, 2)
    context.pin(features, STATED)
    context.result([rows, context.pinned_axis(context.attribute("targets", 1), STATED)])


@rule("OneHotEncoder", domain=ML)
def one_hot_encoder(context: Context) -> None:
    """``*p -> *p c``, where ``c``, which is pinned, has one place for every category."""
    categories = [context.attribute(name, ()) for name in ("cats_int64s", "cats_strings")]
    stated = [len(each) for each in categories if each]
    length = stated[0] if len(stated) == 1 else None
    context.result([*context.axes(0), context.pinned_axis(length, "it has one place for every category")])


@rule("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(context: Context) -> None:
    """``*n m, k -> *n k``, where ``m`` and ``k`` are pinned; a vector becomes a matrix of one row."""
    axes, indices = context.axes(0), context.axes(1)
    text = "indices point to places of this axis"
    for axis in (*axes[-1:], *indices):
        context.pin(axis, text)
    count = size(product(*indices))
    rows = axes[:-1] if len(axes) > 1 else (UNIT,)
    context.result([*rows, context.pinned_axis(count, text)])


@rule("Scaler", domain=ML)
def scaler(context: Context) -> None:
    """``*n c -> *n c``; ``c`` is pinned where each feature has a number of its own."""
    _by_feature(context, "offset", "scale")


@rule("Imputer", domain=ML)
def imputer(context: Context) -> None:
    """``*n c -> *n c``; ``c`` is pinned where each feature has a number of its own."""
    _by_feature(context, "imputed_value_floats", "imputed_value_int64s")


def _by_feature(context: Context, *attributes: str) -> None:
    """Keep all axes; pin the last one if an attribute has numbers for its places."""
    axes = context.axes(0)
    if axes and any(len(context.attribute(name, ())) > 1 for name in attributes):
        context.pin(axes[-1], STATED)
    context.result(axes)


@rule("Normalizer", domain=ML)
def normalizer(context: Context) -> None:
    """``*n c -> *n c``; ``c`` is pinned, because its copies would add to the norm."""
    axes = context.axes(0)
    if axes:
        context.pin(axes[-1], "it normalises over this axis")
    context.result(axes)


@rule("FeatureVectorizer", domain=ML)
def feature_vectorizer(context: Context) -> None:
    """``n a, n b, ... -> n [a | b | ...]``: a Concat that states the lengths."""
    operands = [context.axes(slot, 2) for slot in range(len(context.node.inputs))]
    if list(context.attribute("inputdimensions", ())) != [size(features) for _, features in operands]:
        raise Refusal("the lengths that it states are not those of its inputs")
    for slot, (batch, features) in enumerate(operands):
        context.tie(operands[0][0], batch)
        context.require_length("inputdimensions", slot, features)
    context.result([operands[0][0], context.laid(features for _, features in operands)])


@rule("ZipMap", domain=ML)
def zip_map(context: Context) -> None:
    """``n c ->`` a sequence of maps, with a key for each ``c``."""
    for axis in context.axes(0):
        context.pin(axis, "it makes maps with a key for every class")
    context.give(0, Known())
