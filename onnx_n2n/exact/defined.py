"""Operators that ONNX defines as functions of others: what they stand for, where there is no rule for them."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import defs, helper

from onnx_n2n.exact.files import domain_of
from onnx_n2n.exact.registry import NEWEST, OLDEST
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor, Value


def function_of(site: Site) -> onnx.FunctionProto | None:
    """Return the function that ONNX defines a node's operator by, with its defaults filled in; None if it has none."""
    domain = domain_of(site.node.domain)
    if domain not in NEWEST or site.version > NEWEST[domain] or (not domain and site.version < OLDEST):
        return None
    try:
        schema: Any = defs.get_schema(site.operator, site.version, domain)
    except defs.SchemaError:
        return None
    function = onnx.FunctionProto()
    if schema.function_opset_versions:
        version = _nearest(schema.function_opset_versions, site.version)
        function.ParseFromString(schema.get_function_with_opset_version(version))
    elif schema.context_dependent_function_opset_versions:
        version = _nearest(schema.context_dependent_function_opset_versions, site.version)
        node = onnx.NodeProto()
        node.CopyFrom(site.node)
        del node.attribute[:]
        node.attribute.extend(site.constants())
        types = [_type(value).SerializeToString() for value in site.inputs]
        written = schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), types)
        function.ParseFromString(written)
    if not function.node:
        return None
    function.attribute_proto.extend(
        each.default_value for each in schema.attributes.values() if each.default_value.name
    )  # fmt: skip
    return function


def _nearest(versions: list[int], version: int) -> int:
    """Return the newest of the versions that a body is written in up to the node's, or the oldest."""
    return max((each for each in versions if each <= version), default=min(versions))


def _type(value: Value) -> onnx.TypeProto:
    """Return what a body's writer is told of an input."""
    if isinstance(value, Tensor):
        return helper.make_tensor_type_proto(value.type, value.shape)
    if isinstance(value, list) and value:
        return helper.make_sequence_type_proto(_type(value[0]))
    return onnx.TypeProto()
