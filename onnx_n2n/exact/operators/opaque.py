"""Operators that are taken as they are: random functions of their input, keyed by all that their node says."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_n2n.exact.files import domain_of
from onnx_n2n.exact.functions import define
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import STRING, kind
from onnx_n2n.exact.undecided import Undecided

Described = tuple[bytes, int, int]


def by_row(site: Site, x: Numbers, count: int, output: int = 0, **replaced: Any) -> Numbers:
    """Return an output of a node as ``count`` functions of all numbers along the last axis of x.

    Args:
        site: The node. All of its attributes are part of the key, so all count as read.
        x: Its input, or what the node makes of it first, [..., n].
        count: The length of the last axis of the result.
        output: Which output is meant.
        replaced: Attributes that are others than the node's, for what x stands for.
    """
    found: Numbers = site.world.of_rows(OPAQUE, (*described(site, **replaced), output), x, -1, count)
    return found


def by_element(site: Site, x: Numbers) -> Numbers:
    """Return a node's output as a function of the number at each place."""
    found: Numbers = site.world.apply(OPAQUE, (*described(site), 0), x)
    return found


def described(site: Site, **replaced: Any) -> Described:
    """Return a node, its defaults filled in and without names, the version of its domain, and its input's type."""
    schema = defs.get_schema(site.operator, site.version, domain_of(site.node.domain))
    attributes = {name: each.default_value for name, each in schema.attributes.items() if each.default_value.name}
    attributes |= {each.name: each for each in site.constants()}
    site.ignore(*attributes)
    if unknown := set(attributes) - set(schema.attributes):
        raise Undecided(f"the rule does not know attribute {min(unknown)!r}")
    node = onnx.NodeProto(op_type=site.operator, domain=domain_of(site.node.domain), input=["x"])
    node.output.extend(each.name for each in schema.outputs)
    for name in sorted(attributes | replaced):
        value = replaced[name] if name in replaced else helper.get_attribute_value(attributes[name])
        if isinstance(value, onnx.TensorProto):
            value = numpy_helper.from_array(site.run.file.array(value))
        if not isinstance(value, list | np.ndarray) or len(value):
            node.attribute.append(helper.make_attribute(name, value))
    return node.SerializeToString(deterministic=True), site.version, site.tensor(0).type


def _real(x: np.ndarray, written: bytes, version: int, type_: int, output: int) -> np.ndarray:
    """Return what the reference implementation gives; texts among the results as numbers."""
    if type_ == STRING:
        raise Undecided("texts cannot be drawn")
    node = onnx.NodeProto.FromString(written)
    names = [helper.make_value_info("x", onnx.TypeProto())]
    outputs = [helper.make_value_info(each, onnx.TypeProto()) for each in node.output]
    imports = [helper.make_opsetid(node.domain, version)] + ([helper.make_opsetid("", 21)] if node.domain else [])
    model = helper.make_model(
        helper.make_graph([node], "one", names, outputs), opset_imports=imports, ir_version=10
    )  # fmt: skip
    rows = x.reshape(-1, x.shape[-1]) if x.ndim else x.reshape(1, 1)
    results: Any = ReferenceEvaluator(model).run(None, {"x": rows.astype(kind(type_))})
    found = np.asarray(results[output])
    if found.dtype.kind in "OSU":
        found = np.array([zlib.crc32(str(each).encode()) for each in found.flat]).reshape(found.shape)
    return found.astype(np.float64).reshape(*x.shape[:-1], -1) if x.ndim else found.astype(np.float64).reshape(())


OPAQUE = define("Opaque", _real)
