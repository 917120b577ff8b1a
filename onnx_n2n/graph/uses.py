"""Where a node reads a tensor."""

from __future__ import annotations

import onnx_ir as ir

Use = tuple[ir.Node, int]
"""A node and one of its input slots."""
