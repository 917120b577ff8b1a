"""The digest of a model: another one for whatever makes it another model, wherever its weights are stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx.numpy_helper import from_array, to_array

from onnx_n2n.io.history import digest
from onnx_n2n.io.model import load, open_model, save

TEXT = """
<ir_version: 8, opset_import: ["": 17, "own": 1]>
g (float[N,4] x) => (float[N,3] y) {
    half = Constant<value = float[1] {0.5}>()
    yes = Constant<value = bool {1}>()
    h = MatMul(x, v)
    s = own.scale(h, half)
    t = If(yes) <then_branch = a () => (float[N,40] p) { p = Mul(s, inner) },
                 else_branch = b () => (float[N,40] q) { q = Softmax<axis = 1>(s) }>
    y = MatMul(t, w)
}
<domain: "own", opset_import: ["": 17]> scale (a, b) => (c) { c = Mul(a, b) }
"""


def model() -> ModelProto:
    found = onnx.parser.parse_model(TEXT)
    rng = np.random.default_rng(0)
    shapes = {"v": (4, 40), "w": (40, 3)}
    found.graph.initializer.extend(
        from_array(rng.standard_normal(shape, np.float32), name) for name, shape in shapes.items()
    )
    branch(found).initializer.append(from_array(rng.standard_normal((1, 40), np.float32), "inner"))
    return found


def branch(found: ModelProto) -> onnx.GraphProto:
    node = next(node for node in found.graph.node if node.op_type == "If")
    return next(each.g for each in node.attribute if each.name == "then_branch")


def nudge(tensor: TensorProto) -> None:
    """Move one number of a tensor by one rounding step."""
    array = to_array(tensor).copy()
    array.flat[-1] = np.nextafter(array.flat[-1], np.float32(9))
    tensor.CopyFrom(from_array(array, tensor.name))


CHANGES: dict[str, Callable[[ModelProto], object]] = {
    "the first weight": lambda m: nudge(m.graph.initializer[0]),
    "the last weight": lambda m: nudge(m.graph.initializer[-1]),
    "a weight of a branch": lambda m: nudge(branch(m).initializer[0]),
    "a constant": lambda m: nudge(m.graph.node[0].attribute[0].t),
    "an attribute": lambda m: setattr(m.graph.node[2], "op_type", "Gemm"),
    "a name of a node": lambda m: setattr(m.graph.node[2], "name", "other"),
    "the order of two nodes": lambda m: m.graph.node.insert(0, m.graph.node.pop(1)),
    "a function": lambda m: setattr(m.functions[0].node[0], "op_type", "Add"),
    "an opset": lambda m: setattr(m.opset_import[0], "version", 18),
    "the history": lambda m: helper.set_model_props(m, {"onnx_n2n.lineage": "[]"}),
    "the shape of an input": lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_param", "M"),
    "the type of a weight": lambda m: m.graph.initializer[0].CopyFrom(
        from_array(to_array(m.graph.initializer[0]).view(np.int32), "v")
    ),
}


def of(proto: ModelProto) -> str:
    return digest(open_model(proto).model)


@pytest.mark.parametrize("change", CHANGES)
def test_another_model_has_another_digest(change: str) -> None:
    other = model()
    CHANGES[change](other)
    assert of(other) != of(model())
    assert of(model()) == of(model())


def test_a_number_that_no_file_can_hold_counts_as_what_the_file_gets(tmp_path: Path) -> None:
    """Attributes are of single precision in a file, and in memory of as many digits as somebody has computed."""
    found = load_model(tmp_path)
    scale = next(node for node in found.graph if node.op_type == "scale")
    for attribute in (ir.AttrFloat32("one", 2 / 3), ir.AttrFloat32s("many", (0.1, 0.7))):
        scale.attributes[attribute.name] = attribute
    before = digest(found)
    save(found, tmp_path / "written.onnx")
    assert digest(load(tmp_path / "written.onnx")) == before
    scale.attributes["one"] = ir.AttrFloat32("one", 2 / 3 + 1e-6)
    assert digest(found) != before


def load_model(folder: Path) -> ir.Model:
    onnx.save(model(), folder / "model.onnx")
    return load(folder / "model.onnx")


def test_it_does_not_matter_where_weights_are(tmp_path: Path) -> None:
    proto = model()
    onnx.save(proto, tmp_path / "one.onnx")
    onnx.save(model(), tmp_path / "two.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    save(load(tmp_path / "two.onnx"), tmp_path / "three.onnx")
    assert {digest(load(tmp_path / f"{name}.onnx")) for name in ("one", "two", "three")} == {of(proto)}
