"""The garbage collector: still while a graph is worked on, and whatever happens as the caller had it afterwards."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator

import onnx
import pytest

import onnx_n2n
from helpers.graphs import model
from onnx_n2n.collector import still
from onnx_n2n.errors import GrowthError, ModelError
from onnx_n2n.passes import Widen
from onnx_n2n.verification.options import Proof

UNPROVEN = Proof(wanted=False)


@pytest.fixture(autouse=True, params=[True, False])
def running(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the caller lets the collector run: at the end of every test it is the same."""
    (gc.enable if request.param else gc.disable)()
    yield request.param
    found = gc.isenabled()
    gc.enable()
    assert found is request.param


@pytest.fixture
def teacher() -> onnx.ModelProto:
    return model("h = MatMul(x, W) r = Relu(h) y = MatMul(r, V)", "float[2,3] x", "y", W=(3, 4), V=(4, 2))


def test_it_is_still_while_a_model_is_grown_and_runs_between(teacher: onnx.ModelProto, running: bool) -> None:
    found = {}
    Widen(1.5)(teacher, proof=UNPROVEN, progress=lambda stage: found.update({stage: gc.isenabled()}))
    assert found == {"reading the model": running, "growing": False}
    Widen(1.5)(teacher, progress=lambda stage: found.update({stage: gc.isenabled()}))
    assert found["verifying"] is running


def collections(work: Callable[[onnx.ModelProto], object], layers: int) -> int:
    """Count how often the collector walks over anything while some work is done on a model of so many layers."""
    body = " ".join(f"h{n + 1} = MatMul(h{n}, W{n})" for n in range(layers))
    weights = {f"W{n}": (4, 4) for n in range(layers)}
    teacher = model(f"h0 = Relu(x) {body} y = Relu(h{layers})", "float[2,4] x", "y", **weights)
    counted = 0

    def seen(phase: str, _: object) -> None:
        nonlocal counted
        counted += phase == "start"

    gc.callbacks.append(seen)
    try:
        work(teacher)
    finally:
        gc.callbacks.remove(seen)
    return counted


WORK: list[Callable[[onnx.ModelProto], object]] = [
    lambda teacher: onnx_n2n.widen(teacher, 1.5, verify=False),
    lambda teacher: onnx_n2n.deepen(teacher, verify=False),
    onnx_n2n.analyze,
    onnx_n2n.clones,
]


@pytest.mark.parametrize("work", WORK)
def test_it_is_started_once_or_twice_however_large_the_graph_is(
    work: Callable[[onnx.ModelProto], object],
) -> None:
    work(model("y = MatMul(x, W)", "float[2,3] x", "y", W=(3, 4)))
    assert collections(work, 60) <= 3


@pytest.mark.usefixtures("running")
def test_an_error_does_not_keep_it_still(teacher: onnx.ModelProto) -> None:
    with pytest.raises(GrowthError):
        onnx_n2n.widen(teacher, groups={"no such group": 5})
    with pytest.raises(ModelError):
        onnx_n2n.analyze(onnx.ModelProto())


def test_a_block_inside_of_another_does_not_start_it() -> None:
    with still():
        with still():
            assert not gc.isenabled()
        assert not gc.isenabled()


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_threads_the_last_does_not_leave_it_still(first: int) -> None:
    ends, begun = [threading.Event(), threading.Event()], threading.Semaphore(0)

    def work(end: threading.Event) -> None:
        with still():
            begun.release()
            end.wait()

    threads = [threading.Thread(target=work, args=[end]) for end in ends]
    for thread in threads:
        thread.start()
        begun.acquire()
    for number in (first, 1 - first):
        ends[number].set()
        threads[number].join()
