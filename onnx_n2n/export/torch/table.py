"""Every operator that there is a function for."""

from __future__ import annotations

from onnx_n2n.export.calling import Table
from onnx_n2n.export.torch import (
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
)

TABLE: Table = {
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
