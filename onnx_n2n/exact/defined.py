"""Operators that ONNX defines as functions of others: what they stand for, where there is no rule for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import defs, helper

from onnx_n2n.exact.constants import inside
from onnx_n2n.exact.files import domain_of, opsets
from onnx_n2n.exact.registry import NEWEST, OLDEST, operators
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor, Value


def doubtful(function: onnx.FunctionProto, versions: Mapping[str, int]) -> str:
    """Say why runtimes differ in what a model's own function is: an empty text if they do not.

    It may have the name of an operator that a runtime has, or other versions of operators than the model.

    Args:
        function: The function.
        versions: The version of each domain's operators that the model means.
    """
    domain = domain_of(function.domain)
    if (domain, function.name) in operators() or _since(domain, function.name, versions.get(domain)) is not None:
        return f"the model has a function that is called like the operator {function.name}"
    own = opsets(function.opset_import)
    for node in (*function.node, *(each for graph in inside(function.node) for each in graph.node)):
        where = domain_of(node.domain)
        one, two = own.get(where), versions.get(where, own.get(where))
        if _since(where, node.op_type, one) != _since(where, node.op_type, two):
            return f"the function {function.name!r} means another version of {node.op_type} than the model"
    return ""


def _since(domain: str, name: str, version: int | None) -> int | None:
    """Return in which version an operator was last changed, up to one; None where that has no such operator."""
    try:
        return None if version is None else int(defs.get_schema(name, version, domain).since_version)
    except defs.SchemaError:
        return None


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
