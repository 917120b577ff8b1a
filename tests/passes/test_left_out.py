"""One bad rule costs one group: it is left out and named, the rest is verified, and the command shows the bug."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import onnx_n2n
from helpers.calling import call, files
from helpers.deepening import resnet
from helpers.graphs import STABLE, TOLERANCE, Judge, model, opened
from helpers.random_nets import teachers
from onnx_n2n import rules
from onnx_n2n.axes.algebra import Reason, axis_of, pin, size
from onnx_n2n.errors import LeftOutWarning
from onnx_n2n.io.history import history
from onnx_n2n.kernels import growth as kernels
from onnx_n2n.passes import Deepen, Enlarge, Outputs, Pass, Sequential, Widen, parse
from onnx_n2n.passes import deepen as deepening
from onnx_n2n.passes.widen import groups_touched
from onnx_n2n.record.recipe import Recipe
from onnx_n2n.rules.context import Context
from onnx_n2n.rules.obligations import Ledger
from onnx_n2n.search.exploration import explore
from onnx_n2n.verification.options import Proof
from onnx_n2n.width import rewrite
from onnx_n2n.width.plan import plan

pytestmark = [pytest.mark.leaves_out, pytest.mark.filterwarnings("ignore::onnx_n2n.errors.LeftOutWarning")]

BODY = "h = MatMul(x, w1) r = Relu(h) k = MatMul(r, w2) s = Softmax(k) m = MatMul(s, w3) t = Relu(m) y = MatMul(t, w4)"


def mlp() -> onnx.ModelProto:
    """Three groups, w1 to w3, of which the middle one goes through a Softmax."""
    return model(BODY, "float[N,8] x", "y", w1=(8, 6), w2=(6, 5), w3=(5, 7), w4=(7, 3))


def broken(patch: pytest.MonkeyPatch, spoil: Callable[[Context], None]) -> None:
    """Let ``spoil`` change what the rule of every node has said."""
    real = rules.rule_for

    def rule_for(*operator: Any) -> Any:
        found = real(*operator)

        def spoilt(context: Context) -> None:
            found(context)
            spoil(context)

        return None if found is None else spoilt

    patch.setattr(rules, "rule_for", rule_for)


@pytest.fixture
def softmax(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Softmax as if it were a function of single numbers."""
    elementwise, real = rules.rule_for("", "Relu", 17), rules.rule_for

    def rule_for(domain: str, operator: str, version: int) -> Any:
        return elementwise if operator == "Softmax" else real(domain, operator, version)

    monkeypatch.setattr(rules, "rule_for", rule_for)
    return None


def grown(result: Any) -> set[str]:
    return {each.name for each in result.change.grown}


def left_out(result: Any) -> list[str]:
    return [each.group for each in result.report.left_out]


# --- one bad rule


@pytest.mark.usefixtures("softmax")
@pytest.mark.parametrize("options", [{}, {"init": "net2net", "seed": 3}, {"groups": {"w2": 9}}])
def test_a_bad_rule_costs_its_group(options: dict[str, Any]) -> None:
    teacher = mlp()
    with pytest.warns(LeftOutWarning, match="'w2' was left out"):
        result = onnx_n2n.widen(teacher, 1.5, **options)
    (lost,) = result.report.left_out
    assert (lost.group, lost.operator, lost.tensor, lost.node) == ("w2", "Softmax", "s", "Softmax -> s")
    assert grown(result) == {"w1", "w3"}
    assert result.report.verdict
    assert Judge(teacher).error(result.model) < TOLERANCE
    assert parse(result.passes).passes[0] == Widen(factor=1.5, without=("w2",), **options)
    assert [entry.text for entry in history(opened(result.model))] == [result.passes]
    with pytest.raises(onnx_n2n.VerificationError, match="first tensor that is wrong is s"):
        onnx_n2n.widen(teacher, 1.5, strict=True, **options)


@pytest.mark.usefixtures("softmax")
def test_the_command_line_says_so_and_how_to_see_it(folder: Path) -> None:
    onnx.save(mlp(), "my net.onnx")
    before = files(folder)
    options = ["widen", "my net.onnx", "--factor", "1.5", "--seed", "3", "--init", "net2net", "--input", "x:4,8"]
    strict = call(*options, "--strict")
    assert (strict.exit_code, files(folder)) == (1, before)
    assert "LEFT OUT" not in strict.stderr
    done = call(*options, "--json", "--record", "growth.safetensors")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    (lost,) = report["left_out"]
    assert (lost["group"], lost["node"]) == ("w2", "Softmax -> s")
    assert "LEFT OUT: 1 ('w2')" in done.stderr
    assert lost["command"] in done.stderr
    assert report["verification"]["ok"] is True
    # The command shows the bug, and the pass that is reported makes the same student.
    there = files(folder)
    words = shlex.split(lost["command"])
    assert words[0] == "onnx-n2n"
    again = call(*words[1:])
    assert (again.exit_code, files(folder)) == (1, there), again.stderr
    assert call("run", "my net.onnx", "-p", report["pass"], "-o", "same.onnx", "--strict").exit_code == 0
    assert Path("same.onnx").read_bytes() == Path(report["student"]).read_bytes()
    log = json.loads(call("log", report["student"], "--json").stdout)
    assert [entry["text"] for entry in log["history"]] == [report["pass"]]


@pytest.mark.usefixtures("softmax")
def test_what_is_not_verified_is_as_it_was_asked_for() -> None:
    assert grown(onnx_n2n.widen(mlp(), 1.5, verify=False)) == {"w1", "w2", "w3"}


@pytest.mark.usefixtures("softmax")
@pytest.mark.parametrize("only", [("w2",), ()])
def test_where_nothing_is_left_the_student_is_refused(only: tuple[str, ...], folder: Path) -> None:
    body = BODY if only else "k = MatMul(x, w2) s = Softmax(k) y = MatMul(s, w3)"
    onnx.save(model(body, "float[N,8] x", "y", w1=(8, 6), w2=(6 if only else 8, 5), w3=(5, 7), w4=(7, 3)), "net.onnx")
    there = files(folder)
    done = call("widen", "net.onnx", *(word for name in only for word in ("--only", name)))
    assert (done.exit_code, files(folder)) == (1, there)
    assert "LEFT OUT" not in done.stderr


def test_what_onnx_runtime_refuses_is_left_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(context: Context) -> None:  # nothing behind it grows along
        if context.node.outputs[0].name == "t":
            context.results[0] = tuple(axis_of(size(axis)) for axis in context.results[0])
            for axis in context.results[0]:
                pin(axis, Reason("for the test"))

    broken(monkeypatch, spoil)
    result = onnx_n2n.widen(mlp(), 1.5)
    assert (left_out(result), grown(result)) == (["w3"], {"w1"})
    assert "unknown: " in result.report.left_out[0].error
    assert Judge(mlp()).error(result.model) < TOLERANCE


def when_rewritten(patch: pytest.MonkeyPatch) -> None:
    make = rewrite._Rewriter._make

    def fails(self: Any, value: Any, *arguments: Any, **options: Any) -> Any:
        if value.name == "w3":
            raise TypeError("for the test")
        return make(self, value, *arguments, **options)

    patch.setattr(rewrite._Rewriter, "_make", fails)


def when_written(patch: pytest.MonkeyPatch) -> None:
    make = Recipe.make

    def fails(self: Recipe, teacher: np.ndarray) -> np.ndarray:
        if teacher.shape == (5, 7):
            raise TypeError("for the test")
        return make(self, teacher)

    patch.setattr(Recipe, "make", fails)


@pytest.mark.parametrize("broken", [when_rewritten, when_written])
def test_what_fails_inside_is_left_out_too(
    broken: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    broken(monkeypatch)
    body, code = BODY.replace("Softmax", "Tanh"), 4
    teacher = model(body, "float[N,8] x", "y", w1=(8, 6), w2=(6, 5), w3=(5, 7), w4=(7, 3))
    assert left_out(onnx_n2n.widen(teacher, 1.5)) == ["w2", "w3"]
    onnx.save(teacher, "net.onnx")
    before = files(folder)
    for options in (["--strict"], ["--no-verify"]):
        assert (call("widen", "net.onnx", *options).exit_code, files(folder)) == (code, before)
    planned = call("widen", "net.onnx", "--dry-run", "--json")
    assert (planned.exit_code, files(folder)) == (0, before)
    done = call("widen", "net.onnx", "--json")
    assert done.exit_code == 0, done.stderr
    lost = json.loads(done.stdout)["left_out"]
    assert [each["group"] for each in lost] == ["w2", "w3"]  # both are axes of w3
    if broken is when_rewritten:  # a dry run makes no weights
        for name in ("left_out", "pass", "grown", "parameters"):
            assert json.loads(planned.stdout)[name] == json.loads(done.stdout)[name]
        assert "LEFT OUT: 2 ('w2', 'w3')" in call("widen", "net.onnx", "--dry-run", "--force").stderr
        for options in (["--strict"], ["--no-verify"]):
            assert call("widen", "net.onnx", "--dry-run", "--force", *options).exit_code == code
    assert all("for the test" in each["error"] for each in lost)
    for each in lost:
        assert call(*shlex.split(each["command"])[1:]).exit_code == code


# --- other passes


def test_a_bad_place_for_depth_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = deepening.identity

    def doubled(splice: Any, setting: Any, value: Any, *more: Any) -> Any:
        made = identity(splice, setting, value, *more)
        return splice.node(setting.near.maker, "Add", [made, made], word="twice") if value.name == "b" else made

    monkeypatch.setattr(deepening, "identity", doubled)
    teacher = model(
        "h = MatMul(x, w1) a = Relu(h) k = MatMul(a, w2) b = Relu(k) m = MatMul(b, w3) c = Relu(m) y = MatMul(c, w4)",
        "float[N,8] x", "y", w1=(8, 6), w2=(6, 5), w3=(5, 7), w4=(7, 3),
    )  # fmt: skip
    result = Deepen()(teacher)
    assert left_out(result) == ["w2"]
    assert [each.place for each in result.change.added] == ["w1", "w3"]
    assert Judge(teacher).error(result.model) < TOLERANCE
    assert result.passes == "deepen{without=w2}"
    with pytest.raises(onnx_n2n.VerificationError):
        parse(shlex.split(result.report.left_out[0].command)[4])(teacher, strict=True)
    both = parse("widen{factor=1.5},deepen")(teacher)
    assert both.passes == "widen{factor=1.5},deepen{without=w2}"
    assert grown(both) == {"w1", "w2", "w3"}
    assert Judge(teacher).error(both.model) < TOLERANCE


def test_a_bad_kernel_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    follow = kernels._follow
    monkeypatch.setattr(kernels, "_follow", lambda each: None if each.layer.weight == "v" else follow(each))
    teacher = model("h = Conv<pads=[1,1,1,1]>(x, w) r = Relu(h) y = Conv<pads=[1,1,1,1]>(r, v)",
                    "float[N,3,6,6] x", "y", w=(4, 3, 3, 3), v=(2, 4, 3, 3))  # fmt: skip
    result = Enlarge()(teacher)
    assert (left_out(result), result.passes) == (["v"], "enlarge{without=v}")
    assert [each.place for each in result.change.added] == ["w"]
    assert Judge(teacher).error(result.model) < TOLERANCE


@pytest.mark.usefixtures("softmax")
def test_of_several_passes_the_wrong_one_leaves_out() -> None:
    teacher = mlp()
    result = parse("widen{factor=1.5},deepen,outputs{size=5}")(teacher)
    assert left_out(result) == ["w2"]
    assert parse(result.passes).passes[0] == Widen(factor=1.5, without=("w2",))
    assert {each.place for each in result.change.added} == {"w1", "w3"}
    assert {"w1", "w3", "w4"} <= grown(result)
    gone = onnx_n2n.verify(teacher, result.model, gained=["y"])
    assert gone


@pytest.mark.usefixtures("softmax")
def test_outputs_that_are_wrong_leave_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = model("h = MatMul(x, w1) r = Relu(h) k = MatMul(r, w2) y = Softmax(k)", "float[N,8] x", "y",
                    w1=(8, 6), w2=(6, 5))  # fmt: skip
    with pytest.raises(onnx_n2n.VerificationError):
        Outputs(7)(teacher)
    result = Sequential(Outputs(7), Widen(factor=1.5))(teacher)
    assert (left_out(result), grown(result)) == (["w2"], {"w1"})
    assert [(idle.text, idle.reason) for idle in result.change.idle] == [
        ("outputs{size=7,without=w2}", "the group 'w2' of output 'y' is left out")
    ]


@pytest.mark.usefixtures("softmax")
def test_an_exploration_says_what_its_candidates_lack(folder: Path) -> None:
    wide = model(BODY, "float[N,64] x", "y", w1=(64, 60), w2=(60, 2), w3=(2, 60), w4=(60, 64))
    onnx.save(wide, "net.onnx")
    done = call("explore", "net.onnx", "--budget", "params=2x", "--json")
    assert done.exit_code == 0, done.stderr
    found = {each["name"]: each for each in json.loads(done.stdout)["candidates"]}
    for each in found.values():
        assert [lost["group"] for lost in each["left_out"]] == ["w2"] * ("wid" in each["name"]), each
        if each["path"] is not None:
            student = onnx_n2n.load(each["path"])
            assert each["parameters"] == sum(np.prod(v.shape.numpy()) for v in student.graph.initializers.values())
            assert history(student)[0].text in each["passes"]
    assert found["wider"]["path"] is not None
    assert "LEFT OUT" in done.stderr
    assert all(each.wrong for each in explore("net.onnx", "params=2x", output="b", strict=True) if each.name == "wider")


# --- names


NAMES = st.lists(st.text(min_size=1, max_size=8) | st.sampled_from(["a b", 'q"', "it's", "x,{y}", "\\", "a\n", "c:3"]))


@settings(STABLE, max_examples=50)
@given(NAMES, NAMES, st.dictionaries(st.text(min_size=1), st.integers(1, 99)))
def test_texts_of_passes_name_everything(only: list[str], without: list[str], groups: dict[str, int]) -> None:
    widen = Widen(only=tuple(only), without=tuple(without), groups=groups)
    change = Sequential(widen, Deepen(without=tuple(without)), Outputs(3, only=tuple(only)))
    assert parse(str(change)) == change


@pytest.mark.usefixtures("softmax")
def test_any_name_is_in_the_command(folder: Path) -> None:
    teacher = mlp()
    for name in [tensor.name for tensor in teacher.graph.initializer]:
        new = f'{name} it\'s "{{a,b}}\\'
        for node in teacher.graph.node:
            node.input[:] = [new if each == name else each for each in node.input]
        next(tensor for tensor in teacher.graph.initializer if tensor.name == name).name = new
    onnx.save(teacher, "it's.onnx")
    lost = json.loads(call("widen", "it's.onnx", "--json").stdout)["left_out"]
    assert [each["group"][:2] for each in lost] == ["w2"]
    assert call(*shlex.split(lost[0]["command"])[1:]).exit_code == 1


@pytest.mark.parametrize("change", [Widen(without=("w9",)), Widen(only=("w9",)), Deepen(only=("w9",)),
                                    Enlarge(without=("w9",)), Outputs(9, only=("w9",))])  # fmt: skip
def test_a_name_that_there_is_not_is_no_silence(change: Pass) -> None:
    with pytest.raises(onnx_n2n.GrowthError, match="named 'w9'"):
        change(resnet(1), proof=Proof(wanted=False))


# --- laws


@settings(
    max_examples=6,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(teachers(), st.data())
def test_one_bad_node_costs_groups_that_touch_it(teacher: onnx.ModelProto, data: st.DataObject) -> None:
    """Its rule forgets what growing would owe to it."""
    judge = Judge(teacher)
    assume(judge.meaningful)
    summing = [n for n in teacher.graph.node if n.op_type in {"MatMul", "Gemm", "Conv", "LayerNormalization"}]
    assume(summing)
    bad = data.draw(st.sampled_from(summing)).output[0]
    request = Widen(factor=1.5, init="net2net")  # copies, whose shares are what a rule asks for

    def spoil(context: Context) -> None:
        if context.node.outputs[0].name == bad:
            context.ledger = Ledger.empty()

    with pytest.MonkeyPatch.context() as patch:
        broken(patch, spoil)
        wanted = grown(request(teacher, proof=Proof(wanted=False)))
        analysis = onnx_n2n.analyze(teacher)
        touching = {part.name for part in groups_touched(analysis, plan(analysis, request)) if bad in part.touches}
        try:
            result = request(teacher)
        except onnx_n2n.VerificationError:
            assert len(wanted) == 1 or wanted <= touching
            return
    assert judge.error(result.model) < TOLERANCE
    assert set(left_out(result)) <= touching
    assert wanted <= grown(result) | touching


@pytest.mark.usefixtures("softmax")
@pytest.mark.parametrize("name", ["-net.onnx", "it's \"a\" net.onnx", "$a;b.onnx"])
@pytest.mark.parametrize("out", ["-out.onnx", "-"])
def test_the_command_takes_any_name(name: str, out: str, folder: Path) -> None:
    onnx.save(mlp(), name)
    done = call("widen", "--factor", "1.5", f"-o{out}", "--", name)
    assert done.exit_code == 0, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.strip().startswith("onnx-n2n run"))
    there = files(folder)
    again = call(*shlex.split(line)[1:])
    assert (again.exit_code, files(folder)) == (1, there), (line, again.stderr)
