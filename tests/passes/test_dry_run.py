"""A dry run says what the pass then does, and what that takes; it writes nothing, and runs no model."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_n2n
from helpers.calling import files, net
from helpers.graphs import model
from onnx_n2n import Deepen, Enlarge, Outputs, Sequential, Widen, words
from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.graph import grown
from onnx_n2n.io import space
from onnx_n2n.passes import Pass, estimate
from onnx_n2n.passes.driver import Target
from onnx_n2n.record import recipe
from onnx_n2n.verification.options import Proof

UNPROVEN = Proof(wanted=False)
PASSES = [
    Widen(factor=1.5), Widen(factor=2, init="net2net"), Deepen(count=2), Enlarge(), Outputs(7, "y"),
    Sequential(Widen(factor=1.4), Deepen(every=2)),
]  # fmt: skip


BODY = """
    h = Conv<pads=[1,1,1,1]>(x, w) r = Relu(h) i = Conv<pads=[1,1,1,1]>(r, v) s = Relu(i)
    m = GlobalAveragePool(s) f = Flatten(m) y = MatMul(f, u)
"""


def convolutions() -> onnx.ModelProto:
    """Return a network in which all passes find something."""
    return model(BODY, "float[N,3,8,8] x", "y", w=(20, 3, 3, 3), v=(20, 20, 3, 3), u=(20, 5))


@pytest.mark.parametrize("kind", ["file", "external"])
@pytest.mark.parametrize("change", PASSES, ids=str)
def test_a_dry_run_says_what_is_done_and_writes_nothing(change: Pass, kind: str, tmp_path: Path) -> None:
    teacher, record = tmp_path / "teacher.onnx", tmp_path / "growth"
    onnx.save(convolutions(), teacher, save_as_external_data=kind == "external", size_threshold=0)
    before, target = files(tmp_path), Target(tmp_path / "student.onnx", record=record)
    planned = change(teacher, output=target, dry_run=True)
    assert files(tmp_path) == before
    estimate = planned.report.estimate
    assert estimate is not None
    assert planned.model is None
    assert estimate.place == tmp_path / "student.onnx"
    assert estimate.read == sum(len(content or b"") for content in before.values())
    done = change(teacher, output=target, proof=UNPROVEN)
    after = files(tmp_path)
    written = sum(len(after[name] or b"") for name in after if name not in before and name != record.name)
    pages = 4096 * len(onnx.load(target.path, load_external_data=False).graph.initializer)
    assert abs(estimate.write - written) <= (pages if kind == "external" else written // 50)
    assert planned.report.obstacles == done.report.obstacles
    assert done.report.obstacles is not None
    assert said(planned) == said(done)
    assert planned.growth.to_bytes() == done.growth.to_bytes()


def said(result: Any) -> dict[str, Any]:
    """Return what a report says of what was done, which no verification has to do with."""
    found: dict[str, Any] = result.report.to_json()
    return {name: found[name] for name in found if name not in {"clones", "estimate"}} | {"pass": result.passes}


def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, session = list[Any](), onnxruntime.InferenceSession

    def counted(*arguments: Any, **options: Any) -> Any:
        opened.append(arguments)
        return session(*arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", counted)
    onnx.save(net(), tmp_path / "net.onnx")
    found = onnx_n2n.widen(tmp_path / "net.onnx", 2, dry_run=True)
    assert found.report.estimate is not None
    assert found.report.estimate.weights is not None
    assert found.report.verdict is found.report.exact is found.report.clones is None
    assert "only planned" in repr(found)
    probes = len(opened)  # of the provider, with a model of one node
    assert probes <= 1
    onnx_n2n.widen(tmp_path / "net.onnx", 2)
    assert len(opened) > probes


@pytest.mark.parametrize("of", [lambda proto: proto, gs.import_onnx, ir.from_proto], ids=["proto", "gs", "ir"])
def test_models_in_memory_are_read_and_written_nowhere(of: Any) -> None:
    found = onnx_n2n.widen(of(net()), 2, dry_run=True, verify=False)
    estimate = found.report.estimate
    assert estimate is not None
    assert found.model is None
    assert (estimate.place, estimate.read, estimate.write, estimate.free, estimate.weights) == (None, 0, 0, None, None)
    assert "write" not in " ".join(estimate.sentences)


def test_what_could_not_be_written_is_refused_as_ever(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    (tmp_path / "there").write_text("mine")
    before = files(tmp_path)
    for output in (tmp_path / "there", tmp_path / "net.onnx", tmp_path / "no" / "folder", tmp_path):
        errors = []
        for dry_run in (True, False):
            with pytest.raises(OptionError) as failure:
                onnx_n2n.widen(tmp_path / "net.onnx", 2, output=output, dry_run=dry_run, verify=False)
            errors.append(str(failure.value))
        assert errors[0] == errors[1]
    assert files(tmp_path) == before
    assert onnx_n2n.widen(tmp_path / "net.onnx", 2, output=tmp_path / "there", force=True, dry_run=True).modified


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_full_disk_is_seen_before_anything_is_written(
    dry_run: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    before, stages = files(tmp_path), list[str]()
    monkeypatch.setattr(space, "free", lambda _: 10)
    with pytest.raises(ModelError, match=r"'.*net.widened.onnx' needs .* bytes, and 10 bytes are free") as failure:
        Widen()(tmp_path / "net.onnx", progress=stages.append, dry_run=dry_run)
    assert isinstance(failure.value.__cause__, OSError)
    assert stages[-1] == ("planning" if dry_run else "writing a draft")  # and no part is left out for it
    assert files(tmp_path) == before


def test_nobody_is_refused_where_the_system_does_not_say_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    monkeypatch.setattr(space, "free", lambda _: None)
    found = onnx_n2n.widen(tmp_path / "net.onnx", 2, dry_run=True).report.estimate
    assert found is not None
    assert found.free is None
    assert space.free(tmp_path / "nowhere") is None


def test_nothing_to_do_is_said(tmp_path: Path) -> None:
    onnx.save(model("y = Relu(x)", "float[N,3] x", "y"), tmp_path / "nothing.onnx")
    found = onnx_n2n.widen(tmp_path / "nothing.onnx", 2, dry_run=True)
    assert not found.modified
    assert found.growth.steps == ()


SIDE = 1400  # of weights of eight megabytes


def large(*, inside: bool = False) -> onnx.ModelProto:
    """Return a network with large weights; ``inside``, one of them in a Constant node."""
    w, v = (np.random.default_rng(n).standard_normal((SIDE, SIDE), np.float32) / 40 for n in range(2))
    found = model("a = MatMul(x, w) b = Relu(a) y = MatMul(b, v)", f"float[N,{SIDE}] x", "y", w=w, v=v)
    for weight in found.graph.initializer if inside else ():
        if weight.name == "v":
            found.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["v"], value=weight))
            found.graph.initializer.remove(weight)
            break
    return found


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what does not depend on the model."""
    monkeypatch.setattr(estimate, "LIBRARIES", 0)
    monkeypatch.setattr(estimate, "BLOCKS", 0)
    monkeypatch.setattr(recipe, "BLOCK", 1 << 14)


@pytest.mark.parametrize(
    ("change", "inside"), [(Widen(factor=1.3), False), (Widen(factor=1.3), True), (Deepen(count=3), False)], ids=str
)
@pytest.mark.usefixtures("alone")
def test_memory_is_what_it_takes(change: Pass, inside: bool, tmp_path: Path) -> None:
    """All that numpy and Python take is traced, but not what protobuf and the libraries themselves do."""
    onnx.save(large(inside=inside), tmp_path / "teacher.onnx")
    found = change(tmp_path / "teacher.onnx", dry_run=True, proof=UNPROVEN).report.estimate
    assert found is not None
    tracemalloc.start()
    try:
        assert change(tmp_path / "teacher.onnx", proof=UNPROVEN).modified
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.memory > 8 * SIDE * SIDE
    assert peak <= found.memory + 5_000_000  # with what is loaded and noted of the graph
    assert inside or found.memory <= 1.2 * peak
    assert not inside or found.memory > 20 * SIDE * SIDE  # what is in no initializer, in several forms at once


@pytest.mark.usefixtures("alone")
def test_a_weight_that_is_made_in_parts_is_never_there_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(large(), tmp_path / "teacher.onnx")

    def memory() -> int:
        found = onnx_n2n.widen(tmp_path / "teacher.onnx", 4, dry_run=True, verify=False).report.estimate
        assert found is not None
        return found.memory

    whole, weight = memory(), 4 * SIDE * SIDE
    monkeypatch.setattr(grown, "WHOLE", 1_000_000)
    monkeypatch.setattr(estimate, "PART", 1_000_000)
    assert whole - memory() == pytest.approx(weight, abs=1_000_000)  # what is longest is read for the report


def test_a_target_may_be_a_text(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    target = Target(str(tmp_path / "out.onnx"), record=str(tmp_path / "growth"))
    assert Widen()(str(tmp_path / "net.onnx"), output=target, proof=UNPROVEN).model == tmp_path / "out.onnx"
    assert (tmp_path / "growth").is_file()


@given(st.integers(0, 10**16), st.integers(1, 10**16))
def test_bytes_are_told_in_units_that_say_how_many_there_are(part: int, whole: int) -> None:
    sizes = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    number, unit = words.in_bytes(whole).split()
    assert abs(float(number.replace(",", "")) * sizes[unit] - whole) <= whole / 20
    assert float(number.replace(",", "")) < 1001 or unit == "TB"
    some, of, same, also = words.part_of_bytes(min(part, whole), whole).split()
    assert (of, same, also) == ("of", number, unit)
    assert float(some.replace(",", "")) <= float(number.replace(",", ""))
