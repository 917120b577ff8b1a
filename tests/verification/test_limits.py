"""What verification may cost: the time of one run, and the memory of what is drawn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, parser

import onnx_n2n
from helpers.calling import net
from onnx_n2n.cli import main
from onnx_n2n.errors import InputError, OptionError, RunError, TimeLimitError
from onnx_n2n.export.check import agreement
from onnx_n2n.verification import trial as trials
from onnx_n2n.verification import verify
from onnx_n2n.verification.dims import resolved, sizings, symbols
from onnx_n2n.verification.draw import LARGEST_FEED, WIDTH, Drawn, drawable, wanted
from onnx_n2n.verification.memory import within_memory
from onnx_n2n.verification.sessions import CPU, SessionModel, Timed, run, session

TRIPS = 10**18
SIN = "k2 = Identity(k)\n b = Sin(a)"
INNER = "(int64 u, bool l, float[2] c) => (bool l2, float[2] d) { l2 = Identity(l)\n d = Sin(c) }"
NESTED = f"k2 = Identity(k)\n b = Loop(n, yes, a) <body = i {INNER}>"
SHORT = 0.3  # seconds


def loop(body: str = SIN, trips: int = TRIPS, shape: str = "2") -> onnx.ModelProto:
    return parser.parse_model(f"""<ir_version: 10, opset_import: ["": 17]>
        g (float[{shape}] x) => (float[{shape}] y) <int64 n = {{{trips}}}, bool yes = {{1}}> {{
            y = Loop(n, yes, x) <body = o (int64 t, bool k, float[2] a) => (bool k2, float[2] b) {{{body}}}>
        }}""")


def plain(shape: str, inputs: str = "") -> onnx.ModelProto:
    graph = parser.parse_graph(f"g (float[{shape}] x{inputs}) => (float[A] y) {{ y = Relu(x) }}")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def opened(proto: onnx.ModelProto, limit: float = 30.0) -> Timed:
    return Timed(session(SessionModel(proto.SerializeToString(), None), CPU), limit)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a model is run to find inputs."""
    runs: list[int] = []

    def counted(*args: Any) -> Any:
        runs.append(1)
        return run(*args)

    monkeypatch.setattr(trials, "run", counted)
    return runs


# Time


@pytest.mark.parametrize("body", [SIN, NESTED], ids=["loop", "nested"])
def test_a_run_that_does_not_end_is_stopped_and_the_model_runs_again(body: str) -> None:
    endless = opened(loop(body), SHORT)
    for _ in range(2):
        with pytest.raises(TimeLimitError, match=r"stopped after 0.3 seconds \(x float32\[2\]\)\. Allow it more"):
            run(endless, {"x": np.ones(2, np.float32)}, ["y"])
    short = opened(loop(trips=1))
    assert run(short, {"x": np.zeros(2, np.float32)}, ["y"])[0].tolist() == [0, 0]


def test_the_search_for_inputs_ends_with_the_first_run_that_is_stopped(count: list[int]) -> None:
    for shape in ("2", "N", "N,M"):
        endless = loop(shape=shape)
        with pytest.raises(TimeLimitError):
            verify(endless, endless, time_limit=SHORT)
    feed = {"x": np.ones((2, 1), np.float32)}
    with pytest.raises(TimeLimitError):
        verify(endless, endless, inputs=[feed, feed], time_limit=SHORT)
    with pytest.raises(TimeLimitError):
        agreement(loop(), lambda feed: [feed["x"]], time_limit=SHORT)
    assert len(count) == 5


def test_a_data_set_that_takes_too_long_is_not_replaced_by_drawn_inputs(tmp_path: Path, count: list[int]) -> None:
    (tmp_path / "test_data_set_0").mkdir()
    tensor = onnx.numpy_helper.from_array(np.ones(2, np.float32), "x")
    onnx.save_tensor(tensor, tmp_path / "test_data_set_0" / "input_0.pb")
    with pytest.raises(TimeLimitError):
        verify(loop(), loop(), folder=tmp_path, time_limit=SHORT)
    assert len(count) == 1


def test_a_student_that_takes_too_long_is_neither_right_nor_wrong() -> None:
    with pytest.raises(TimeLimitError):
        verify(loop(trips=1), loop(), time_limit=SHORT)


@pytest.mark.parametrize("limit", [0, -1.0, float("nan"), -float("inf")])
def test_a_limit_that_is_not_above_zero_is_an_option_error(limit: float) -> None:
    with pytest.raises(OptionError, match="above 0 seconds"):
        onnx_n2n.verify(net(), net(), time_limit=limit)
    with pytest.raises(OptionError, match="above 0 seconds"):
        onnx_n2n.widen(net(), time_limit=limit)


def test_infinity_and_very_long_are_no_limit() -> None:
    assert all(verify(net(), net(), time_limit=limit).ok for limit in (float("inf"), 1e300))


COMMANDS = ("widen", "deepen", "enlarge", "run -p widen", "explore --budget params=2x", "verify")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_runs_models_has_the_option(command: str, folder: Path) -> None:
    name, *options = command.split()
    arguments = [name, "net.onnx", *options, *(["net.onnx"] if name == "verify" else []), "--time-limit"]
    wrong = CliRunner().invoke(main, [*arguments, "0"])
    assert (wrong.exit_code, "x>0" in wrong.output) == (2, True)
    assert "--time-limit" in CliRunner().invoke(main, ["export", "-h"]).output
    onnx.save(loop(), "loop.onnx")
    if name == "verify":
        stopped = CliRunner().invoke(main, ["verify", "loop.onnx", "net.onnx", "--time-limit", str(SHORT)])
        assert (stopped.exit_code, "was stopped after 0.3 seconds" in stopped.output) == (3, True)


def test_a_node_that_does_not_notice_that_it_should_stop_holds_nobody_up(tmp_path: Path) -> None:
    """An empty loop. In a process of its own, as it goes on until that ends."""
    onnx.save(_empty(), tmp_path / "loop.onnx")
    call = f"from onnx_n2n.cli import main; main(['verify', 'loop.onnx', 'loop.onnx', '--time-limit', '{SHORT}'])"
    done = subprocess.run([sys.executable, "-c", call], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "was stopped after" in done.stderr) == (3, True)


def _empty() -> onnx.ModelProto:
    proto = loop()
    body = proto.graph.node[0].attribute[0].g
    del body.node[:]
    body.output[0].name, body.output[1].name = body.input[1].name, body.input[2].name
    return proto


# Memory


@pytest.mark.parametrize(
    ("shape", "size"),
    [("1000000,3,224,224", 150528000000), (f"N,{2**40}", 2**40), (f"N,3,{2**62},{2**62}", 3 * 2**124)],
)
def test_inputs_of_absurd_size_are_refused_before_they_are_drawn(shape: str, size: int, count: list[int]) -> None:
    teacher = plain(shape)
    with pytest.raises(InputError, match=rf"input 'x' of shape \[.*\] is too large.* {WIDTH * size:,} bytes"):
        verify(teacher, teacher)
    assert not count


def test_a_shape_that_was_chosen_is_refused_too_and_arrays_that_were_given_are_not() -> None:
    teacher = plain("N")
    with pytest.raises(InputError, match=r"shape \[1000000000\] .*`inputs='data.npz'`"):
        verify(teacher, teacher, shapes={"x": (10**9,)})
    assert verify(teacher, teacher, inputs={"x": np.ones(3, np.float32)}).ok


SHAPES = st.lists(st.sampled_from(["a", "b", "c", "d", 3, 512, 2**20]), min_size=1, max_size=4)


@given(st.lists(SHAPES, min_size=1, max_size=3))
def test_what_is_drawn_fits_whatever_else_there_is_to_try(shapes: list[list[Any]]) -> None:
    inputs = "".join(f", float[{','.join(map(str, shape))}] i{k}" for k, shape in enumerate(shapes))
    wants = wanted(ir.from_proto(plain("2", inputs)), {})
    plans = [Drawn(wants, sizes, 0) for sizes in sizings([want.dims for want in wants], {})]
    try:
        fitting = drawable(plans)
    except InputError:
        fitting = []
    for plan in plans:
        entries = sum(int(np.prod([float(size) for size in shape])) for shape in plan.shapes().values())
        assert (plan in fitting) == (WIDTH * entries <= LARGEST_FEED)


@pytest.mark.parametrize("name", ["9**9**9", "(" * 500 + "a" + ")" * 500, "N; drop", "a*" * 2000 + "a"])
def test_a_dimension_that_cannot_be_worked_out_is_a_name(name: str) -> None:
    assert symbols(name) == {name}
    assert resolved(name, {name: 7}) == 7


def test_no_memory_is_a_sentence() -> None:
    with pytest.raises(InputError, match=r"not enough memory .* Give smaller inputs"), within_memory():
        np.ones(2**50)
    text = '<ir_version: 10, opset_import: ["": 17]> g (float x, int64[1] n) => (float[N] y) {y = Expand(x, n)}'
    with pytest.raises(RunError, match=r": Failed to allocate memory for requested buffer of size|bad_alloc"):
        run(opened(parser.parse_model(text)), {"x": np.array(1, np.float32), "n": np.array([2**55])}, ["y"])


@pytest.mark.parametrize("groups", [-1, 0, 3, 2**62])
def test_a_convolution_that_takes_no_input_whatever_is_named(groups: int, count: list[int]) -> None:
    weight = onnx.numpy_helper.from_array(np.ones((4, 2, 1, 1), np.float32), "w")
    graph = parser.parse_graph(f"g (float[N,C,H,W] x) => (float[A,B,P,Q] y) {{ y = Conv<group={groups}>(x, w) }}")
    graph.initializer.append(weight)
    teacher = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    with pytest.raises(InputError, match=rf"a convolution of 4 kernels has {groups} groups"):
        verify(teacher, teacher)
    assert not count


def test_inputs_that_were_tried_are_described_without_drawing_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = parser.parse_graph("g (float[N,8] x) => (float[3,7] y) <int64[2] k = {3, 7}> { y = Reshape(x, k) }")
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    drawn: list[Drawn] = []
    feed = Drawn.feed
    monkeypatch.setattr(Drawn, "feed", lambda plan, turn: drawn.append(plan) or feed(plan, turn))
    with pytest.raises(RunError, match=r"tried x float32\[1,8\]; x float32\[16,8\]; "):
        verify(proto, proto)
    assert len(drawn) == len({str(plan.sizes) for plan in drawn})
