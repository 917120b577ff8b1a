"""Every operator that there is a function for."""

from __future__ import annotations

from onnx_n2n.export.calling import Table
from onnx_n2n.export.operators.table import table_of
from onnx_n2n.export.torch import (
    arrays,
    attention,
    indexing,
    linear,
    norm,
    quantised,
    recurrent,
    resizing,
    shape,
)

TABLE: Table = {
    **table_of(arrays),
    **attention.TABLE,
    **indexing.TABLE,
    **linear.TABLE,
    **norm.TABLE,
    **quantised.TABLE,
    **recurrent.TABLE,
    **resizing.TABLE,
    **shape.TABLE,
}
