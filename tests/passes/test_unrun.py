"""Where models cannot be run, for want of kernels or of memory, the exact check verifies instead, and that is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper, parser

import onnx_n2n
from helpers.calling import call, files, net
from onnx_n2n import exact, passes
from onnx_n2n.errors import InputError, KernelError, MemoryShortageError, ModelError, VerificationError
from onnx_n2n.verification import exactly, mapped, memory, verdict
from onnx_n2n.verification.options import Proof

pytestmark = pytest.mark.unasked

UNDECIDED = exact.Verdict("undecided", node="n", operator="NoSuch", reason="there is no rule")
DIFFERENT = exact.Verdict("different", output="y", reason="they differ by 1.0e+00")


def bfloat16() -> onnx.ModelProto:
    """ONNX Runtime has no kernel of MatMul for this type on the CPU."""
    graph = parser.parse_graph(
        "g (bfloat16[N,8] x) => (bfloat16[N,4] y) { h = MatMul(x, a)\n r = Relu(h)\n y = MatMul(r, b) }"
    )
    for seed, (name, shape) in enumerate([("a", (8, 6)), ("b", (6, 4))]):
        values = np.random.default_rng(seed).standard_normal(shape).astype(ml_dtypes.bfloat16)
        graph.initializer.append(numpy_helper.from_array(values, name))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without free memory."""
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal:       16 kB\nMemAvailable:       0 kB\n")


def says(patch: pytest.MonkeyPatch, verdict: exact.Verdict) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []

    def check(*_: Any, **given: Any) -> exact.Verdict:
        asked.append(given)
        return verdict

    patch.setattr(exactly.exact, "check", check)
    return asked


def test_without_kernels_the_exact_check_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    report = onnx_n2n.widen(bfloat16()).report
    assert (report.verdict, report.exact.state) == (None, "equal")
    assert "MatMul" in report.unrun
    assert report.to_json()["not_run"] == report.unrun
    assert report.to_json()["verification"] is None
    asked = says(monkeypatch, exact.Verdict("equal"))
    onnx_n2n.widen(bfloat16())
    assert [each["seconds"] for each in asked] == [float("inf")]


@pytest.mark.usefixtures("full")
def test_without_memory_the_exact_check_verifies() -> None:
    report = onnx_n2n.widen(net()).report
    assert (report.verdict, report.exact.state) == (None, "equal")
    assert "not enough memory to run the models: 0 bytes are free" in report.unrun


def test_memory_that_runs_out_on_the_way_is_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(verdict, "grain", full)
    report = onnx_n2n.widen(net()).report
    assert (report.verdict, report.exact.state) == (None, "equal")
    assert "there is not enough memory" in report.unrun


def test_what_is_run_says_nothing() -> None:
    report = onnx_n2n.widen(net()).report
    assert (report.unrun, report.to_json()["not_run"]) == ("", None)


def test_it_is_said_by_the_command_line(folder: Path) -> None:
    onnx.save(bfloat16(), "bf.onnx")
    told = call("widen", "bf.onnx")
    assert told.exit_code == 0
    assert "The models were not run: ONNX Runtime cannot open the model: Could not find an" in told.stderr + told.stdout
    found = json.loads(call("widen", "bf.onnx", "--force", "--json").stdout)
    assert "MatMul" in found["not_run"]
    assert found["exact"]["state"] == "equal"
    assert "not run" not in call("widen", "net.onnx").output


@pytest.mark.parametrize("options", [{"inputs": {"x": np.ones((1, 8), ml_dtypes.bfloat16)}}, {"provider": "cpu"}])
def test_who_says_how_to_run_is_told_that_it_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(KernelError, match="MatMul"):
        onnx_n2n.widen(bfloat16(), **options)


def test_where_the_exact_check_is_never_made_it_does_not_verify() -> None:
    with pytest.raises(KernelError, match="MatMul"):
        passes.Widen()(bfloat16(), proof=Proof(exact=None))


def test_verify_itself_says_that_it_cannot_run() -> None:
    with pytest.raises(ModelError, match=r"an implementation for MatMul.*`exact=True`"):
        onnx_n2n.verify(bfloat16(), bfloat16())
    assert onnx_n2n.verify(bfloat16(), bfloat16(), exact=True)


def test_where_nobody_knows_nothing_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    onnx.save(bfloat16(), tmp_path / "bf.onnx")
    says(monkeypatch, UNDECIDED)
    with pytest.raises(KernelError, match=r"MatMul.*, and the exact check says: .*there is no rule.*`verify=False`"):
        onnx_n2n.widen(tmp_path / "bf.onnx")
    says(monkeypatch, DIFFERENT)
    with pytest.raises(VerificationError):
        onnx_n2n.widen(tmp_path / "bf.onnx", strict=True)
    assert set(files(tmp_path)) == {"bf.onnx"}


@pytest.mark.usefixtures("full")
def test_memory_is_that_for_the_weights_of_the_larger_model() -> None:
    teacher, student = net(), onnx_n2n.widen(net(), verify=False).model
    larger = max(mapped.weight(ir.from_proto(each)) for each in (teacher, student))
    for each in ((teacher, student), (student, teacher)):
        with pytest.raises(MemoryShortageError, match=f"weights take {larger:,}"):
            onnx_n2n.verify(*each)
    memory.MEMINFO.write_text("MemAvailable: 1 kB")
    assert memory.available() == 1024
    memory.suffices(1024)
    with pytest.raises(MemoryShortageError, match=r"not enough memory .*1,024 bytes are free, and weights take 1,025"):
        memory.suffices(1025)
    assert issubclass(MemoryShortageError, InputError)


def test_weights_that_are_cast_take_memory_twice() -> None:
    """ONNX Runtime casts all of them before anything else."""
    graph = parser.parse_graph(
        "g (float[N,8] x) => (float[N,4] y) { f = Cast <to = 1> (a)\n h = Cast <to = 1> (b)\n"
        " c = MatMul(x, f)\n i = Cast <to = 10> (c)\n j = Cast <to = 1> (i)\n y = MatMul(j, h) }"
    )
    graph.initializer.extend(numpy_helper.from_array(np.ones((8, n), ml_dtypes.bfloat16), "ab"[n == 4]) for n in (8, 4))
    model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10))
    assert (mapped.weight(model), mapped.loaded(model)) == (96 * 2, 96 * 6)


@pytest.mark.parametrize("text", [None, "", "MemTotal: 1 kB\n", "MemAvailable: much\n"])
def test_a_system_that_does_not_say_has_enough(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    if text is not None:
        (tmp_path / "meminfo").write_text(text)
    assert memory.available() is None
    memory.suffices(2**80)
