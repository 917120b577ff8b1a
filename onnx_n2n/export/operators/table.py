"""Every operator that there is a function for, once for all frameworks.

An entry is a function, written in the names of ``arrays``; or a text, the name by which every framework has a function
of its own; or a mapping of those, by the version of the operator set from which on they hold.
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


def table_of(names: Any) -> Table:
    """Return the table of a framework, by the names that it has."""

    def function(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {since: function(each) for since, each in entry.items()}
        return getattr(names, entry) if isinstance(entry, str) else entry

    return {operator: function(entry) for operator, entry in TABLE.items()}
