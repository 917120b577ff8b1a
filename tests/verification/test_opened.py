"""How often models are opened to verify, and how often they run: each session costs what reading a model does."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper, parser

from onnx_n2n.verification import case, mapped, runs, sessions, shaken, stressed, trial, verdict, verify, yardstick

A, B = (np.random.default_rng(seed).standard_normal(shape) for seed, shape in enumerate([(6, 8), (8, 4)]))


def net(name: str, by: float = 1.0, kind: str = "float", given: str = "") -> onnx.ModelProto:
    body = f"{'c = Cast<to=1>(x)' if given else ''}\n h = MatMul({'c' if given else 'x'}, a)\n y = MatMul(h, b)"
    graph = parser.parse_graph(f"{name} ({given or kind}[N,6] x) => ({kind}[N,4] y) {{ {body} }}")
    dtype = np.float32 if kind == "float" else np.float16
    graph.initializer.extend(numpy_helper.from_array((by * x).astype(dtype), n) for n, x in (("a", A), ("b", B)))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each model was opened, and that no other one was open then."""
    count: Counter[str] = Counter()
    alive: list[weakref.ref[Any]] = []
    session = sessions.session

    def counted(source: sessions.SessionModel, *args: Any, **options: Any) -> Any:
        gc.collect()
        assert not any(each() for each in alive)
        found = session(source, *args, **options)
        alive.append(weakref.ref(found))
        count[source.proto().graph.name] += 1
        return found

    for module in (runs, shaken, stressed, verdict):
        monkeypatch.setattr(module, "session", counted)
    return count


def test_each_is_opened_once_and_one_after_the_other(opened: Counter[str]) -> None:
    found = verify(net("teacher"), net("student"))
    assert found.ok
    assert found.tried
    assert 0 < found.rounding_error < 1e-5
    assert opened == {"teacher": 1, "student": 1}


def test_each_is_opened_twice_in_half_precision(opened: Counter[str]) -> None:
    """As it is, and with every tensor rounded, so that what overflows on other devices does so here."""
    assert verify(net("teacher", kind="float16"), net("student", kind="float16")).ok
    assert opened == {"teacher": 2, "student": 2}


def test_a_small_teacher_without_real_inputs_is_opened_twice(
    opened: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No input can be a rounding step off: the optimised teacher shows what rounding does. A large one is not."""
    teacher, student = net("teacher", given="int64"), net("student", given="int64")
    assert verify(teacher, student).ok
    assert opened == {"teacher": 2, "student": 1}
    opened.clear()
    monkeypatch.setattr(verdict, "LARGE", 0)
    assert verify(teacher, student).ok
    assert opened == {"teacher": 1, "student": 1}


def no_kernel(given: str) -> onnx.ModelProto:
    found = net("student", given=given)
    found.graph.node[-1].op_type = "Unheard"
    return found


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize(("student", "ok"), [(net("s", given="int64"), True), (no_kernel("int64"), False)])
def test_a_rounding_error_that_was_not_measured_is_no_number(
    large: bool, student: onnx.ModelProto, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "LARGE", 0 if large else 1 << 30)
    found = verify(net("teacher", given="int64"), student)
    assert found.ok == ok
    errors = [found.rounding_error, *(each.rounding_error for each in found.outputs)]
    told = found.to_json()
    assert [told["rounding_error"], told["outputs"][0]["rounding_error"]] == errors
    assert ("rounding error not measured" in repr(found)) == large
    assert all((error is None) == large for error in errors)


@pytest.mark.parametrize("values", [np.zeros((3, 6)), np.ones((0, 6))])
def test_inputs_that_have_no_rounding_step_measure_nothing(
    values: np.ndarray, opened: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = {"x": values.astype(np.float32)}
    assert verify(net("teacher"), net("student"), inputs=feed).rounding_error is not None
    assert opened == {"teacher": 2, "student": 1}  # the optimised one
    monkeypatch.setattr(verdict, "LARGE", 0)
    assert verify(net("teacher"), net("student"), inputs=feed).rounding_error is None


def test_a_student_that_is_not_the_same_is_looked_at_more_closely(
    opened: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher's rounding error by all means (optimised), and by moving its weights; a trace names the tensor."""
    assert not verify(net("teacher"), net("student", by=1.01)).ok
    assert opened == {"teacher": 3, "student": 1}
    opened.clear()
    monkeypatch.setattr(trial, "CHEAP_SECONDS", -1.0)  # not all feeds were run one rounding step off
    assert not verify(net("teacher"), net("student", by=1.01)).ok
    assert opened == {"teacher": 4, "student": 1}


def test_what_passes_by_a_part_of_the_rounding_error_passes_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "CHEAP_SECONDS", -1.0)
    for by in (1.0, 1 + 1e-7, 1 + 1e-6, 1 + 3e-6, 1 + 1e-5, 1 + 1e-4, 1.01):
        teacher, student = net("teacher"), net("student", by=by)
        quick = verify(teacher, student)
        with monkeypatch.context() as patch:
            patch.setattr(verdict, "nudges", lambda feed: False)
            assert quick.ok == verify(teacher, student).ok == (by < 1 + 5e-5)


def test_an_expensive_teacher_runs_on_two_feeds_and_one_that_is_a_rounding_step_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, feeds = sessions.run, []

    def counted(model: sessions.Timed, feed: Any, names: Any) -> Any:
        feeds.append(feed)
        return run(model, feed, names)

    monkeypatch.setattr(trial, "run", counted)
    monkeypatch.setattr(trial, "CHEAP_SECONDS", -1.0)
    assert verify(net("teacher"), net("student")).inputs.startswith("drawn (2 feeds)")
    assert len(feeds) == 3
    feeds.clear()
    monkeypatch.setattr(trial, "CHEAP_SECONDS", 10.0)
    assert verify(net("teacher"), net("student")).inputs.startswith("drawn (3 feeds)")
    assert len(feeds) == 6


def test_sessions_keep_no_copies_of_weights_and_wait_idly(monkeypatch: pytest.MonkeyPatch) -> None:
    ort, seen = sessions.runtime(), []
    open_ = ort.InferenceSession

    def session(data: bytes, options: Any, **more: Any) -> Any:
        entries = ("session.disable_prepacking", "session.intra_op.allow_spinning")
        seen.append((options.enable_cpu_mem_arena, *map(options.get_session_config_entry, entries)))
        return open_(data, options, **more)

    monkeypatch.setattr(ort, "InferenceSession", session)
    assert verify(net("teacher"), net("student")).ok
    assert seen == [(False, "1", "0")] * 2


def test_a_run_at_the_edge_may_take_as_long_as_all_before(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def counted(model: sessions.Timed, *_: Any) -> Any:
        limits.append(model.limit)
        return ()

    monkeypatch.setattr(stressed, "run", counted)
    monkeypatch.setattr(stressed, "stress", counted)
    source = sessions.SessionModel(net("teacher").SerializeToString(), None)
    feed = trial.Trial(("y",), ({},), ([None],), "")
    made = case.Case(source, source, feed, sessions.CPU, yardstick.GRAINS[ir.DataType.FLOAT], 0, 30.0, {}, (), ())
    for seconds, limit in ((0.1, stressed.LEAST), (7.0, 7.0), (100.0, 30.0)):
        limits.clear()
        model = sessions.Timed(None, 30.0)
        assert stressed.asked(made, ir.from_proto(net("teacher")), (), model, seconds) == ()
        stressed.answered(made, model, (("", feed),), seconds)
        assert limits == [limit] * 2


def test_the_weight_of_a_model_is_that_of_its_tensors() -> None:
    assert mapped.weight(ir.from_proto(net("teacher"))) == 4 * (A.size + B.size)
