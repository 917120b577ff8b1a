"""What a report says of the multiply-adds of a run: those of both models, and how much growing can save at most."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnx_n2n
from helpers.calling import call, net
from helpers.graphs import model, opened
from onnx_n2n.costs.change import CostChange, cost_change
from onnx_n2n.costs.cost import multiply_adds
from onnx_n2n.passes import Widen

CHAIN = {"w": np.ones((6, 8), np.float32), "v": np.ones((8, 5), np.float32)}
SHAPES = {"w": (8, 3, 3, 3), "u": (8, 8, 3, 3), "v": (5, 8, 1, 1)}
IMAGE = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
MOST = " With the teacher's training counted, growing takes at most {} times fewer than as many steps from scratch."


def chain(shape: str) -> onnx.ModelProto:
    return model("a = MatMul(x, w) b = Relu(a) y = MatMul(b, v)", f"float[{shape}] x", "y", **CHAIN)


def images(pads: str = "") -> onnx.ModelProto:
    conv = f"Conv<kernel_shape = [3, 3]{pads}>"
    text = f"a = {conv}(x, w) b = Relu(a) c = {conv}(b, u) d = Relu(c) e = GlobalAveragePool(d) y = Conv(e, v)"
    return model(text, "float[N,3,H,W] x", "y", **IMAGE)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("factor", [1.5, 2, 3])
def test_a_report_has_what_both_models_multiply(tmp_path: Path, factor: float, dry_run: bool) -> None:
    onnx.save(chain("N,6"), tmp_path / "net.onnx")
    options = {"shapes": {"x": (7, 6)}, "verify": not dry_run, "dry_run": dry_run}
    found = onnx_n2n.widen(tmp_path / "net.onnx", factor, **options).report.multiply_adds
    width = round(8 * factor)
    assert found == CostChange(7 * (6 * 8 + 8 * 5), 7 * (6 * width + width * 5), {"x": (7, 6)})
    assert found.times == found.most == factor


def test_it_counts_what_the_files_have(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    result = onnx_n2n.widen(tmp_path / "net.onnx", 2)
    before, after = (multiply_adds(onnx_n2n.load(path)).total for path in (tmp_path / "net.onnx", result.model))
    found = result.report.multiply_adds
    assert found is not None
    assert (found.before, found.after) == (before, after)
    assert pickle.loads(pickle.dumps(result.report)).multiply_adds == found
    document = result.report.to_json()["multiply_adds"]
    assert [document[name] for name in ("before", "after", "times", "most")] == [before, after, *[after / before] * 2]


def test_free_dimensions_that_nobody_gave_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(chain("N,6"), "net.onnx")
    said = "Multiply-adds of a run on x [1,6]: 88 -> 176 (x2.00), with N taken as 1." + MOST.format("2.00")
    assert f"{said}\n" in call("widen", "net.onnx").stderr
    given = call("widen", "net.onnx", "-o", "o.onnx", "--input", "x:9,6")
    said = "Multiply-adds of a run on x [9,6]: 792 -> 1,584 (x2.00)." + MOST.format("2.00")
    assert (given.exit_code, f"{said}\n" in given.stderr) == (0, True)


@pytest.mark.parametrize("inputs", [{"x": [0, 2, 5, 1]}, [{"x": np.zeros(4, np.int64)}, {"x": np.zeros(9, np.int64)}]])
def test_shapes_are_those_of_the_first_given_inputs(inputs: Any) -> None:
    looked_up = model("a = Gather(w, x) y = MatMul(a, v)", "int64[N] x", "y", **CHAIN)
    found = onnx_n2n.widen(looked_up, 2, inputs=inputs).report.multiply_adds
    assert found is not None
    assert (found.inputs, found.before) == ({"x": (4,)}, 4 * 8 * 5)


def test_what_is_taken_as_1_bounds_nothing_if_it_changes_the_ratio() -> None:
    pads = ", pads = [1, 1, 1, 1]"
    assumed = Widen(2)(images(pads)).report.multiply_adds
    assert assumed is not None
    assert (assumed.assumed, assumed.most) == (("N", "H", "W"), None)
    assert assumed.sentence.endswith("with N, H, W taken as 1.")
    given = onnx_n2n.widen(images(pads), 2, shapes={"x": (1, 3, 16, 16)}).report.multiply_adds
    assert given is not None
    assert given.most == given.times
    assert 2 < given.times != assumed.times
    unpadded = Widen(2)(images()).report.multiply_adds
    assert unpadded is None or (unpadded.times, unpadded.sentence) == (None, "")


def test_one_of_two_batches_bounds_nothing_alone() -> None:
    text = (
        "a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) "
        "c = MatMul(t, m) d = Relu(c) e = MatMul(d, n) z = MatMul(e, n)"
    )
    more = {"m": np.ones((4, 9), np.float32), "n": np.ones((9, 9), np.float32)}
    two = model(text, "float[N,6] x, float[M,4] t", "y, z", **CHAIN, **more)
    for shapes in ({}, {"x": (64, 6)}):
        found = onnx_n2n.widen(two, 2, shapes=shapes).report.multiply_adds
        assert found is not None
        assert found.times is not None
        assert found.most is None, shapes
    assert onnx_n2n.widen(two, 2, shapes={"x": (64, 6), "t": (1, 4)}).report.multiply_adds.most is not None


def test_an_input_without_a_shape_beside_a_free_one_bounds_nothing() -> None:
    text = "a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) c = Relu(t)"
    two = model(text, "float[N,6] x, float[2] t", "y, c", **CHAIN)
    two.graph.input[1].type.tensor_type.ClearField("shape")
    found = onnx_n2n.widen(two, 2, shapes={"t": (2, 3, 5)}).report.multiply_adds
    assert found is not None
    assert (found.times, found.most) == (2, None)


def test_a_length_in_an_expression_with_one_that_was_given() -> None:
    text = "a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) c = Relu(t) d = Relu(s)"
    three = model(text, 'float[N,6] x, float["N+M",6] t, float[M,6] s', "y, c, d", **CHAIN)
    found = onnx_n2n.widen(three, 2, shapes={"s": (5, 6)}).report.multiply_adds
    assert found is not None
    assert (found.inputs["t"], found.assumed, found.most) == ((6, 6), ("N",), 2)


def test_a_caller_who_changes_the_student_does_not_change_the_report() -> None:
    result = Widen(2)(ir.from_proto(net()))
    kept = Widen(2)(net()).report.multiply_adds
    graph = result.model.graph
    for node in reversed(list(graph)):
        if node.op_type in {"Conv", "MatMul", "Gemm"}:
            node.op_type = "Identity"
    assert result.report.multiply_adds == kept


def test_an_input_that_a_cut_dropped_has_no_shape_to_give() -> None:
    text = "a = MatMul(x, w) b = Relu(a) c = Add(b, z) y = MatMul(c, v)"
    two = model(text, "float[N,6] x, float[N,8] z", "y", **CHAIN)
    found = onnx_n2n.cut(two, ("b",), shapes={"x": (3, 6), "z": (3, 8)}).report.multiply_adds
    assert found is not None
    assert (found.before, found.after, found.most) == (3 * (48 + 40), 3 * 48, None)
    assert found.sentence == "Multiply-adds of a run on x [3,6], z [3,8]: 264 -> 144 (x0.55)."


def test_nothing_is_said_where_it_is_not_known() -> None:
    strange = opened(model("a = MatMul(x, w) b = my.own.Op(a) y = MatMul(b, v)", "float[2,6] x", "y", **CHAIN))
    found = cost_change(strange, strange, {})
    assert found is not None
    assert (found.times, found.sentence, len(found.uncounted)) == (None, "", 2)
    assert CostChange(0, 0).times is None
    assert cost_change(strange, strange, {"x": (2, 7, 6)}) is None


def test_bodies_of_loops_are_counted_once_and_bound_nothing() -> None:
    body = "body (int64 i, bool a, float[2,6] s) => (bool k, float[2,6] t) {k = Identity(a) t = MatMul(s, u)}"
    text = f"h = Loop(n, c, x) <body = {body}> a = MatMul(h, w) b = Relu(a) y = MatMul(b, v)"
    weights = CHAIN | {"u": np.ones((6, 6), np.float32)}
    found = Widen(2)(model(text, "float[2,6] x, int64 n, bool c", "y", **weights)).report.multiply_adds
    assert found is not None
    assert (found.before, found.most) == (2 * (36 + 88), None)


@pytest.mark.parametrize("after", [700, 1000, 1004])
def test_no_more_than_was_is_no_saving(after: int) -> None:
    assert CostChange(1000, after).sentence == f"Multiply-adds of a run: 1,000 -> {after:,} (x{after / 1000:.2f})."


def test_nothing_changed_or_a_batch_that_is_free_now_has_none(tmp_path: Path) -> None:
    assert Widen(1.01)(net()).report.multiply_adds is None
    assert onnx_n2n.cut(net(), free_batch=True).report.multiply_adds is None
    onnx.save(net(), tmp_path / "net.onnx")
    assert onnx_n2n.cut(tmp_path / "net.onnx", free_batch=True, dry_run=True).report.multiply_adds is None


def test_several_changes_are_one() -> None:
    shapes = {"x": (1, 6)}
    first, second = CostChange(10, 20, shapes, ("N",), ("a",)), CostChange(20, 50, {}, ("M", "N"), ("b", "a"), False)
    assert first.joined(second) == CostChange(10, 50, shapes, ("N", "M"), ("a", "b"), bounds=False)
    assert first.joined(None) is None


def test_bodies_count_once_and_the_dearer_branch(tmp_path: Path) -> None:
    branch = "then_branch = one () => (float[2,5] p) {{ p = MatMul(b, v) }}"
    text = f"a = MatMul(x, w) b = Relu(a) y = If(c) <{branch}, {branch.replace('then', 'else').replace('one', 'two')}>"
    path = tmp_path / "net.onnx"
    onnx.save(model(text.replace("{{", "{").replace("}}", "}"), "float[2,6] x, bool c", "y", **CHAIN), path)
    document = json.loads(call("widen", str(path), "--json").stdout)["multiply_adds"]
    assert [document[name] for name in ("before", "after", "uncounted")] == [176, 352, []]
