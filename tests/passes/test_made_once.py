"""Each weight of a student is made once for all who need it: file, runs, exact check, record, clones and caller."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
import pytest

import onnx_n2n
from helpers.graphs import TOLERANCE, Judge, model
from onnx_n2n import verification
from onnx_n2n.graph.constants import SMALL
from onnx_n2n.graph.grown import grown_in
from onnx_n2n.record.recipe import Recipe
from onnx_n2n.verification import mapped, sessions

WIDTH = 80
assert WIDTH * WIDTH > SMALL, "smaller weights are kept once they were made"
KINDS = ["file", "external", "proto", "graphsurgeon", "ir", "ir of a file"]


def teacher(seed: int = 0) -> onnx.ModelProto:
    """Return a model with two weights that are too large to be kept, and one in a Constant node."""
    rng = np.random.default_rng(seed)
    w, v, u = (rng.standard_normal((WIDTH, WIDTH), np.float32) / 9 for _ in range(3))
    body = "a = MatMul(x, w) b = Relu(a) c = MatMul(b, v) d = Relu(c) e = MatMul(d, u) y = Relu(e)"
    found = model(body, f"float[2,{WIDTH}] x", "y", w=w, v=v, u=u)
    inside = next(weight for weight in found.graph.initializer if weight.name == "v")
    found.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["v"], value=inside))
    found.graph.initializer.remove(inside)
    return found


def given(kind: str, folder: Path) -> Any:
    """Return the teacher as a model of some kind."""
    proto, path = teacher(), folder / "teacher.onnx"
    onnx.save(teacher(), path, save_as_external_data=kind == "external", size_threshold=0)
    if kind == "ir of a file":
        return onnx_n2n.load(path)
    return {"proto": proto, "graphsurgeon": gs.import_onnx(proto), "ir": ir.from_proto(proto)}.get(kind, path)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Count how often each weight is made."""
    counts: Counter[int] = Counter()
    parts = Recipe.parts

    def counted(self: Recipe, *args: Any) -> Any:
        counts[id(self)] += 1
        return parts(self, *args)

    monkeypatch.setattr(Recipe, "parts", counted)
    return counts


@pytest.mark.parametrize("kind", KINDS)
def test_each_weight_is_made_once(kind: str, tmp_path: Path, made: Counter[int]) -> None:
    asked = {"record": tmp_path / "growth"} if kind in {"file", "external"} else {}
    found = onnx_n2n.widen(given(kind, tmp_path), 1.5, exact=True, **asked)
    assert found.report.verdict is not None
    assert found.report.exact is not None
    assert found.report.exact.state == "equal"
    digest = found.growth.student
    assert set(made.values()) == {1}
    assert len(made) == 3
    if kind not in {"proto", "ir of a file"}:  # a message is the caller's by now, and the other student is in no file
        assert found.report.clones is not None
        assert set(made.values()) == {1}
    if kind != "graphsurgeon":  # which names its graph anew
        assert digest == onnx_n2n.io.history.digest(onnx_n2n.io.model.open_model(found.model).model)
    assert Judge(teacher()).error(proto_of(found.model)) < TOLERANCE


@pytest.mark.parametrize("exact", [True, None])
def test_a_student_in_a_message_is_written_once_as_it_is_made(exact: bool | None, monkeypatch: Any) -> None:
    """For all who compare: runs and the exact check. What the disk does not take is compared all the same."""
    monkeypatch.setattr(mapped, "LARGE", 0)
    added, seen, verify = Counter[tuple[str, int]](), list[Any](), verification.verify
    add = mapped.Apart.add

    def counted(self: mapped.Apart, name: str, data: bytes) -> None:
        added[name, len(data)] += 1
        add(self, name, data)

    def looked(first: Any, second: Any, **options: Any) -> Any:
        seen.append(second)
        return verify(first, second, **options)

    monkeypatch.setattr(mapped.Apart, "add", counted)
    monkeypatch.setattr(verification, "verify", looked)
    found = onnx_n2n.widen(teacher(), 1.5, exact=exact)
    assert found.report.verdict is not None
    assert (found.report.exact is None) == (exact is None)
    assert [added[weight.name, len(weight.raw_data)] for weight in found.model.graph.initializer] == [1, 1]
    assert isinstance(seen[0], sessions.SessionModel)
    monkeypatch.setattr(mapped, "_WEIGHTS", "nowhere/weights")
    again = onnx_n2n.widen(teacher(), 1.5, exact=exact)
    assert again.model == found.model
    assert again.report.verdict == found.report.verdict
    assert isinstance(seen[1], onnx.ModelProto)


def proto_of(student: Any) -> onnx.ModelProto:
    """Return a student as a message."""
    if isinstance(student, ir.Model):
        return ir.to_proto(student)
    if isinstance(student, gs.Graph):
        return gs.export_onnx(student)
    return student if isinstance(student, onnx.ModelProto) else onnx.load(student)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_asked_for_later_does_not_depend_on_what_became_of_the_student(kind: str, tmp_path: Path) -> None:
    expected = onnx_n2n.widen(given("proto", tmp_path), 1.5)
    found = onnx_n2n.widen(given(kind, tmp_path), 1.5, verify=False)
    if isinstance(found.model, Path):
        for path in [found.model, *tmp_path.glob("*.data")]:
            if path.name.startswith(found.model.name):
                path.write_bytes(bytes(path.stat().st_size))
    elif isinstance(found.model, onnx.ModelProto):
        for weight in found.model.graph.initializer:
            weight.raw_data = bytes(len(weight.raw_data))
    elif isinstance(found.model, gs.Graph):
        for tensor in found.model.tensors().values():
            if isinstance(tensor, gs.Constant):
                tensor.values = np.zeros_like(tensor.values)
    assert found.growth.student == expected.growth.student
    assert found.report.clones == expected.report.clones


def test_a_student_is_read_where_it_was_moved_to_and_made_where_it_was_not(
    tmp_path: Path, made: Counter[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = given("file", tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    found = onnx_n2n.widen(path, 1.5, output="student.onnx", verify=False)
    monkeypatch.chdir("elsewhere")
    first = found.growth.student
    assert set(made.values()) == {1}
    again = onnx_n2n.widen(path, 1.5, output=tmp_path / "student.onnx", force=True, verify=False, seed=1)
    made.clear()
    assert again.growth.student != first
    assert not made
    (tmp_path / "student.onnx").unlink()
    assert again.report.clones is not None
    assert made


def test_the_student_of_a_model_in_a_file_stays_out_of_memory(tmp_path: Path) -> None:
    student = onnx_n2n.widen(given("ir of a file", tmp_path), 1.5, verify=False).model
    large = [weight for weight in grown_in(student) if weight.size > SMALL]
    assert len(large) == 3
    assert not any(weight.cache for weight in large)


def test_the_callers_model_is_what_it_was(tmp_path: Path) -> None:
    for kind in ("proto", "graphsurgeon", "ir"):
        before = given(kind, tmp_path)
        found = onnx_n2n.widen(before, 1.5, exact=True)
        assert found.growth is not None
        after = proto_of(before)
        assert {w.name: w.raw_data for w in after.graph.initializer} == {
            w.name: w.raw_data for w in proto_of(given(kind, tmp_path)).graph.initializer
        }
