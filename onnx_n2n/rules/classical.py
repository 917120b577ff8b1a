"""Operators of ai.onnx.ml, whose shapes onnx does not infer: scalers, encoders, and models with weights in attributes.

What stands in attributes stays as it is, so axes that meet it are pinned.
"""

from onnx_n2n.axes.algebra import size, total
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.facts import Known
from onnx_n2n.rules.registry import declare, rule

ML = "ai.onnx.ml"
STATED = "its attributes have numbers for every feature"

declare("Binarizer CategoryMapper LabelEncoder", "*p -> *p", domain=ML)
declare("LinearRegressor SVMRegressor TreeEnsembleRegressor", "n _ -> n _", domain=ML, why=STATED)
declare("LinearClassifier SVMClassifier TreeEnsembleClassifier", "n _ -> n, n _", domain=ML, why=STATED)
declare("OneHotEncoder", "*p -> *p _", domain=ML, why="it has one place for every category")
declare("ArrayFeatureExtractor", "*n m _, *_ -> *n m _", domain=ML, why="indices point to places of this axis")


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
    context.result([operands[0][0], total(*(features for _, features in operands))])


@rule("ZipMap", domain=ML)
def zip_map(context: Context) -> None:
    """``n c ->`` a sequence of maps, with a key for each ``c``."""
    for axis in context.axes(0):
        context.pin(axis, "it makes maps with a key for every class")
    context.give(0, Known())
