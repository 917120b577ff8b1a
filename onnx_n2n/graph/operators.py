"""What an operator is called: the default domain has two names."""

from __future__ import annotations

import onnx
import onnx_ir as ir


def plain(domain: str) -> str:
    """Return the name of an operator domain, empty for the default one."""
    return "" if domain == "ai.onnx" else domain


def operator_of(node: onnx.NodeProto | ir.Node) -> tuple[str, str]:
    """Return the domain and type of a node's operator."""
    return plain(node.domain), node.op_type


def qualified(node: ir.Node) -> str:
    """Return the type of a node's operator, with its domain unless that is ONNX's own: ``com.microsoft.BiasGelu``."""
    return ".".join(filter(None, operator_of(node)))


def measures(node: ir.Node) -> bool:
    """Say whether a node reads only the lengths of its operand, as some exporters make zero biases."""
    return operator_of(node) in {("", "Shape"), ("", "Size")}
