"""The exact check in every pass: where it is made, what it costs, and what happens when it contradicts the run."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_n2n
from helpers.calling import MODELS, call, files, net
from helpers.graphs import STABLE, model
from onnx_n2n import exact
from onnx_n2n.errors import LeftOutWarning, N2NError, OptionError, VerificationError
from onnx_n2n.exact.limit import TooLong, keep, within
from onnx_n2n.passes import proving
from onnx_n2n.passes.proving import Proven
from onnx_n2n.verification import exactly, options, sessions
from onnx_n2n.verification.verdict import Verdict

EQUAL = exact.Verdict("equal", 1e-15, 5)
DIFFERENT = exact.Verdict("different", output="y", reason="they differ by 1.0e+00")
UNDECIDED = exact.Verdict("undecided", node="n", operator="NoSuch", reason="there is no rule")
STATES = {each.state: each for each in (EQUAL, DIFFERENT, UNDECIDED)}

pytestmark = pytest.mark.unasked


def run(*, ok: bool) -> Verdict:
    return Verdict(
        ok=ok, provider="CPU", error=0.0 if ok else 0.5, rounding_error=1e-7, outputs=(), vacuous=(), inputs="drawn",
        first_wrong=None if ok else "h at node n", wrong=None, random=(),
    )  # fmt: skip


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ONNX Runtime is installed."""
    monkeypatch.setattr(options, "importable", lambda: False)


def missing() -> None:
    """Stand in for what looks for ONNX Runtime."""
    raise N2NError("this needs ONNX Runtime, and no build of it is installed")


def says(patch: pytest.MonkeyPatch, verdict: exact.Verdict) -> list[dict[str, Any]]:
    """Let the check say this; return what it is asked."""
    asked: list[dict[str, Any]] = []

    def check(*models: Any, **given: Any) -> exact.Verdict:
        asked.append(given)
        return verdict

    patch.setattr(exactly.exact, "check", check)
    return asked


@given(ok=st.sampled_from([True, False, None]), state=st.sampled_from([*STATES, None]))
def test_a_student_passes_if_one_of_both_says_so_and_none_denies_it(ok: bool | None, state: str | None) -> None:
    proven = Proven(None if ok is None else run(ok=ok), None if state is None else STATES[state])
    if ok is None and state == "undecided":
        with pytest.raises(N2NError, match="no ONNX Runtime"):
            _ = proven.failure
        return
    failure = proven.failure
    assert (failure is None) == (ok is not False and state != "different")
    if failure is None:
        return
    assert failure.exit_code == 1
    if (ok, state) in {(True, "different"), (False, "equal")}:  # a contradiction shows both sides
        assert STATES[str(state)].sentence in failure.reason
        assert "error 0.0e+00" in failure.reason if ok else "error 5.0e-01" in failure.reason


@pytest.mark.parametrize(
    "passes",
    ["widen{factor=1.5}", "widen{init=net2net}", "deepen", "enlarge", "outputs{size=7}", "outputs{size=7},deepen"],
)
def test_students_of_all_passes_are_equal(passes: str) -> None:
    body = "h = Conv<pads=[1, 1, 1, 1]>(x, w) r = Relu(h) p = GlobalAveragePool(r) f = Flatten(p) y = MatMul(f, v)"
    teacher = model(body, "float[N,3,6,6] x", "y", w=(4, 3, 3, 3), v=(4, 5))
    found = onnx_n2n.run(teacher, passes).report
    assert found.verdict.ok
    assert found.exact.state == "equal"
    assert found.to_json()["exact"] == found.exact.to_json()
    assert pickle.loads(pickle.dumps(found)).to_json() == found.to_json()
    assert "exact check: equal" in found.short


@pytest.mark.parametrize("kind", ["path", "ir", "graphsurgeon"])
def test_teachers_of_all_kinds_are_checked(tmp_path: Path, kind: str) -> None:
    import onnx_graphsurgeon as gs

    onnx.save(net(), tmp_path / "net.onnx")
    teacher = {
        "path": lambda: tmp_path / "net.onnx",
        "ir": lambda: onnx_n2n.load(tmp_path / "net.onnx"),
        "graphsurgeon": lambda: gs.import_onnx(net()),
    }[kind]()
    assert onnx_n2n.widen(teacher).report.exact.state == "equal"
    assert set(files(tmp_path)) <= {"net.onnx", "net.widened.onnx"}


def test_what_is_not_verified_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = says(monkeypatch, EQUAL)
    assert onnx_n2n.widen(net(), verify=False).report.exact is None
    assert not asked
    with pytest.raises(OptionError, match="does not go with"):
        onnx_n2n.widen(net(), verify=False, exact=True)


def test_it_has_no_limit_if_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = says(monkeypatch, EQUAL)
    onnx_n2n.widen(net())
    onnx_n2n.widen(net(), exact=True)
    assert [each["seconds"] for each in asked] == [proving.CHEAP, float("inf")]


def test_it_is_not_begun_with_large_models(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = says(monkeypatch, EQUAL)
    monkeypatch.setattr(proving, "LARGEST", 10)
    found = onnx_n2n.widen(net()).report.exact
    assert (found.state, found.reason) == ("undecided", "it would take more than 10 s; `exact=True` waits for it")
    assert not asked
    assert onnx_n2n.widen(net(), exact=True).report.exact == EQUAL


def test_what_the_check_does_not_know_or_fails_at_keeps_no_student_back(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, UNDECIDED)
    assert onnx_n2n.widen(net()).report.exact == UNDECIDED

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(exactly.exact, "check", broken)
    found = onnx_n2n.widen(net()).report
    assert found.verdict.ok
    assert found.exact.reason == "the check itself fails (RuntimeError: a bug)"


def test_what_it_calls_different_is_an_error_and_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    says(monkeypatch, DIFFERENT)
    with pytest.raises(VerificationError, match="running both models shows no difference") as how:
        onnx_n2n.widen(tmp_path / "net.onnx")
    assert DIFFERENT.sentence in how.value.reason
    assert set(files(tmp_path)) == {"net.onnx"}


@pytest.mark.leaves_out
def test_a_part_that_only_it_calls_different_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = exact.check

    def check(teacher: Any, student: Any, **given: Any) -> exact.Verdict:
        shapes = {tuple(each.dims) for each in student.proto.graph.initializer}
        return DIFFERENT if any(8 in shape for shape in shapes) else real(teacher, student, **given)

    monkeypatch.setattr(exactly.exact, "check", check)
    teacher = model(
        "h = MatMul(x, w) r = Relu(h) k = MatMul(r, v) s = Relu(k) y = MatMul(s, u)", "float[N,3] x", "y",
        w=(3, 4), v=(4, 5), u=(5, 2),
    )  # fmt: skip
    with pytest.warns(LeftOutWarning, match="the exact check does"):
        found = onnx_n2n.widen(teacher)
    assert [(each.before, each.after) for each in found.change.grown] == [(5, 10)]
    assert found.report.exact.state == "equal"


def test_a_wrong_run_and_an_equal_check_are_both_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_n2n.verification.verify", lambda *_, **__: run(ok=False))
    with pytest.raises(VerificationError, match=r"error 5.0e-01 .*But the exact check says: Equal for every input"):
        onnx_n2n.widen(net(), strict=True)


@pytest.mark.usefixtures("alone")
def test_without_a_runtime_it_is_the_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_n2n.verification.verify", None)
    found = onnx_n2n.widen(net()).report
    assert (found.verdict, found.exact.state) == (None, "equal")
    asked = says(monkeypatch, DIFFERENT)
    with pytest.raises(VerificationError, match="does not compute what the teacher computes: Different"):
        onnx_n2n.widen(net())
    assert asked[0]["seconds"] == float("inf")
    says(monkeypatch, UNDECIDED)
    with pytest.raises(N2NError, match=r"there is no rule.*pip install.*`verify=False`") as how:
        onnx_n2n.widen(net())
    assert how.value.exit_code == 3


def test_in_a_process_without_a_runtime_students_are_verified(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from onnx_n2n.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)"
    )
    line = [sys.executable, "-c", program, "widen", str(tmp_path / "net.onnx")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "\nEqual for every input" in done.stderr
    assert (tmp_path / "net.widened.onnx").exists()


@pytest.mark.parametrize("asked", [{"provider": "cpu"}, {"inputs": {"x": np.zeros((1, 3, 6, 6), "f4")}}])
def test_options_of_running_need_a_runtime(monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]) -> None:
    """They would say nothing otherwise."""
    monkeypatch.setattr(options, "importable", lambda: False)
    monkeypatch.setattr(sessions, "runtime", missing)
    with pytest.raises(N2NError, match="this needs ONNX Runtime"):
        onnx_n2n.widen(net(), **asked)


def test_what_needs_a_run_says_so_without_a_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """The statistics of a new BatchNormalization are measured."""
    monkeypatch.setattr(options, "importable", lambda: False)
    monkeypatch.setattr(sessions, "runtime", missing)
    with pytest.raises(N2NError, match="this needs ONNX Runtime"):
        onnx_n2n.deepen(onnx.load(MODELS / "resnet.onnx"), "identity", count=1)


@pytest.mark.parametrize(("name", "value"), [("LARGEST", 10), ("CHEAP", 0.0)])
def test_a_command_says_that_the_option_waits(name: str, value: float, tmp_path: Path, monkeypatch: Any) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    monkeypatch.setattr(proving, name, value)
    for more in ([], ["--json"]):
        said = call("widen", tmp_path / "net.onnx", "-o", tmp_path / "out.onnx", "--force", *more).output
        assert " s; --exact waits for it" in " ".join(said.split())


def test_a_check_that_takes_longer_than_it_may_is_undecided() -> None:
    teacher = net()
    found = exact.check(teacher, teacher, seconds=0)
    assert (found.state, found.reason) == ("undecided", "it would take more than 0 s")
    assert exact.check(teacher, teacher, seconds=600).state == "equal"


@given(st.floats(1, 1e6))
@STABLE
def test_a_limit_ends_with_its_block(seconds: float) -> None:
    with within(seconds):
        keep()
        keep(seconds / 2)
        with pytest.raises(TooLong):
            keep(2 * seconds)
    keep(1e300)
    with within(-1), pytest.raises(TooLong):
        keep()
