"""The analysis of a model, whatever holds it."""

from __future__ import annotations

from onnx_n2n.analysis import walk
from onnx_n2n.analysis.result import Analysis
from onnx_n2n.collector import still
from onnx_n2n.io.model import ModelLike, open_model


@still()
def analyze(model: ModelLike) -> Analysis:
    """Work out what in a model may grow: its groups, and for every other weight axis the reason why not.

    >>> found = onnx_n2n.analyze("model.onnx")
    >>> [(group.name, group.size) for group in found.groups]
    [('fc1', 8)]
    >>> found
    <Analysis: 1 group can grow, 3 weight axes are pinned>

    Args:
        model: The model; it is not changed.

    Raises:
        ModelError: The model cannot be read.
    """
    return walk.analyze(open_model(model).model)
