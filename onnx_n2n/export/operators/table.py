"""The table of operators, one for all frameworks.

An entry is a function over the namespace in ``arrays``; or the name of a function in that namespace; or several of
these, by the version of the operator set from which on each holds.
"""

from __future__ import annotations

from typing import Any

from onnx_n2n.export.calling import Table
from onnx_n2n.export.operators import (
    attention,
    elementwise,
    indexing,
    linear,
    norm,
    quantised,
    recurrent,
    reduction,
    resizing,
    shape,
)  # fmt: skip

TABLE: dict[str, Any] = {
    **attention.TABLE,
    **elementwise.TABLE,
    **indexing.TABLE,
    **linear.TABLE,
    **norm.TABLE,
    **quantised.TABLE,
    **recurrent.TABLE,
    **reduction.TABLE,
    **resizing.TABLE,
    **shape.TABLE,
}

BY_FRAMEWORK = frozenset({"BatchNormalization", "Dropout", "If", "Loop", "Scan"})
"""Operators with a state or with graphs inside, which every framework takes in its own way."""


def known(operator: str, version: int) -> bool:
    """Say whether there is a way to do an operator, at any version."""
    return operator in BY_FRAMEWORK or operator in TABLE


def table_of(names: Any) -> Table:
    """Return the table with the functions of a framework's namespace in place of their names."""

    def function(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {since: function(each) for since, each in entry.items()}
        return getattr(names, entry) if isinstance(entry, str) else entry

    return {operator: function(entry) for operator, entry in TABLE.items()}
