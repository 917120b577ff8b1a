"""An option is stated once: class, function, command and text all have it, and give it the same value."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onnx_n2n
from helpers.calling import MODELS, call
from helpers.graphs import STABLE, model, opened
from helpers.values import filled
from onnx_n2n.cli.commands import loaded, main
from onnx_n2n.cli.folders import Asked
from onnx_n2n.errors import OptionError
from onnx_n2n.options import option, options
from onnx_n2n.passes import Deepen, Enlarge, Outputs, Pass, Widen, base, functions, parse
from onnx_n2n.passes.functions import Running
from onnx_n2n.verification.options import Proof

PASSES = {"widen": Widen, "deepen": Deepen, "enlarge": Enlarge, "outputs": Outputs}
COMMANDS = [name for name in PASSES if name in main.commands]
BODY = "h = MatMul(x, w1) r = Relu(h) k = MatMul(r, w2) t = Relu(k) y = MatMul(t, w3)"
SIZES = {"w1": 6, "w2": 5}
RESNET = onnx.load(MODELS / "resnet.onnx")
TEACHER = model(BODY, "float[N,4] x", "y", w1=(4, 6), w2=(6, 5), w3=(5, 3))


def words(kind: type[Pass], given: Mapping[str, Any]) -> list[str]:
    """Return the options of a command that give these values."""
    found = []
    for each in options(kind):
        value = given.get(each.name, ())
        pairs = [f"{name}={size}" for name, size in value.items()] if isinstance(value, Mapping) else value
        found += [f"{each.flags[-1]}={one}" for one in (pairs if isinstance(pairs, list | tuple) else [pairs])]
    return found


class Delivered(BaseException):
    """Stops what delivers a pass."""


def asked(patch: pytest.MonkeyPatch, act: Callable[[], object]) -> Pass:
    """Return the pass that an act would deliver."""
    seen = []

    def deliver(_model: object, change: Pass, **_: object) -> None:
        seen.append(change)
        raise Delivered

    with patch.context() as context:
        context.setattr(base, "deliver", deliver)
        with pytest.raises(Delivered):
            act()
    return seen[0]


@pytest.mark.parametrize("name", PASSES)
@settings(STABLE, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_class_function_command_and_text_give_an_option_the_same_value(
    monkeypatch: pytest.MonkeyPatch, name: str, data: st.DataObject
) -> None:
    kind = PASSES[name]
    given = data.draw(filled(kind))
    wanted: Any = kind(**given)
    assert parse(str(wanted)).passes == (wanted,)
    assert asked(monkeypatch, lambda: getattr(functions, name)("net.onnx", **given)) == wanted
    if name in main.commands:
        arguments = [name, "net.onnx", "--no-verify", *words(kind, given)]
        assert asked(monkeypatch, lambda: main(arguments, standalone_mode=False)) == wanted


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_options_of_its_function(name: str) -> None:
    there = {parameter.name for parameter in loaded(name).params} - {"as_json", "html", "verbose", "outputs"}
    there -= {each.name for each in fields(Asked)}  # of folders, which have functions of their own
    assert there | {"session_options"} == set(inspect.signature(getattr(onnx_n2n, name)).parameters)


@pytest.mark.parametrize("name", [*PASSES, "run"])
def test_a_function_says_all_its_options(name: str) -> None:
    function, kind = getattr(onnx_n2n, name), PASSES.get(name)
    parameters, said = inspect.signature(function).parameters, str(inspect.getdoc(function))
    own = set() if kind is None else {each.name for each in fields(kind)}
    assert parameters.keys() >= own | {each.name for each in options(Running)} | {"model"}
    assert all(f"\n    {each}: " in said for each in parameters)
    assert all(each.said.help for each in options(Running if kind is None else kind))
    for each in () if kind is None else options(kind):
        assert parameters[each.name].default == each.default == getattr(kind(), each.name)


@pytest.mark.parametrize("name", functions.__all__)
def test_the_example_of_a_function_runs(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(MODELS.parent)
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(onnx_n2n, name), name, globs={})
    done = doctest.DocTestRunner().run(example)
    assert done.attempted >= 2
    assert done.failed == 0


# --- sizes of groups, and the factor


@settings(STABLE, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(
    more=st.dictionaries(st.sampled_from(sorted(SIZES)), st.integers(1, 9)),
    factor=st.none() | st.sampled_from([1.0, 1.5, 2.0]),
    init=st.sampled_from(["zero", "drawn", "net2net"]),
)
def test_sizes_and_factor_mean_the_same_wherever_they_are_given(
    tmp_path: Path, more: dict[str, int], factor: float | None, init: Any
) -> None:
    groups = {name: SIZES[name] + number for name, number in more.items()}
    onnx.save(TEACHER, tmp_path / "net.onnx")
    pass_ = Widen(factor, groups=groups, init=init)
    result = onnx_n2n.widen(TEACHER, factor, groups=groups, init=init, verify=False)
    grown = {each.name: each.after for each in result.change.grown}
    times = factor if factor is not None else 1 if groups else 2
    assert grown == {name: groups.get(name, int(size * times + 0.5)) for name, size in SIZES.items()
                     if name in groups or times > 1}  # fmt: skip
    if not result.modified:
        return
    given = {"groups": groups, "init": init} | ({} if factor is None else {"factor": factor})
    out = tmp_path / "out.onnx"
    done = call("widen", tmp_path / "net.onnx", "-o", out, "--force", "--no-verify", *words(Widen, given))
    assert done.exit_code == 0, done.stderr
    students = [onnx.load(out), result.model, onnx_n2n.run(TEACHER, pass_, verify=False).model,
                onnx_n2n.run(TEACHER, str(pass_), verify=False).model]  # fmt: skip
    assert all(student == students[0] for student in students)


@pytest.mark.parametrize(
    ("more", "grow"), [([], {"y"}), (["--group", "w1=8"], {"y", "w1"}), (["--factor", 1.5], {"y", "w1", "w2"})]
)
def test_with_outputs_and_no_factor_nothing_else_grows(tmp_path: Path, more: list[object], grow: set[str]) -> None:
    onnx.save(TEACHER, tmp_path / "net.onnx")
    assert call("widen", tmp_path / "net.onnx", "--outputs", 7, *more, "-o", tmp_path / "out.onnx").exit_code == 0
    student = opened(onnx.load(tmp_path / "out.onnx"))
    shapes = {name: list(value.shape.numpy()) for name, value in student.graph.initializers.items()}
    names = {"y": shapes["w3"][1] == 7, "w1": shapes["w1"][1] > 6, "w2": shapes["w2"][1] > 5}
    assert {name for name, there in names.items() if there} == grow


# --- what is taken for a value


@dataclass(frozen=True)
class Own(Pass):
    """A pass of a third party, as far as its options go."""

    plain: int = 3
    _: KW_ONLY
    flag: bool = option(False, "Whether to.")
    steps: Sequence[float] = option((), "Steps.")

    change = nothing = parts = leave = pick = None  # type: ignore[assignment]


Own.__abstractmethods__ = frozenset()


def test_values_are_kept_as_their_types_have_them() -> None:
    assert Own(plain="4", steps=["1", 2]) == Own(4, steps=(1.0, 2.0))  # type: ignore[arg-type, list-item]
    assert Own.read("plain=4,flag=true,steps=1 2") == Own(4, flag=True, steps=(1.0, 2.0))
    assert str(Own(4, flag=True)) == "own{plain=4,flag=True}"
    assert Widen(include="a*") == Widen(include=["a*"]) == Widen(include=("a*",))
    assert Widen(2) == Widen(2.0)
    assert str(Widen(2)) == "widen{factor=2.0}"
    assert Widen(groups=None, seed=None) == Widen()  # type: ignore[arg-type]
    assert Deepen(calibrate=Path("a.npz")).calibrate == "a.npz"
    for wrong in ({"factor": "much"}, {"groups": 3}, {"groups": {"a": "x"}}):
        with pytest.raises(OptionError, match=r"takes .*numbers"):
            Widen(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [(Deepen(count=10_001), "`count=` must be at most 10000"), (Enlarge("9" * 30), "of the form 5x5"),
     (Widen(0.5), "`factor=` must be a finite number of at least 1"), (Widen(float("nan")), "factor"),
     (Widen(init="none"), "`init=` must be one of drawn, zero, net2net"),  # type: ignore[arg-type]
     (Deepen(every=0), "`every=` must be at least 1"),
     (Deepen(kernel=["2x2"]), "odd"), (Outputs(), "from 1 to"), (Widen(noise=-1), "`noise=` must be")],
)  # fmt: skip
def test_values_without_a_meaning(wrong: Pass, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        wrong(TEACHER)


@pytest.mark.parametrize("text", ["widen{factor=2,factor=3}", "widen{groups=a:8 a:9}", "widen{groups=a:8,groups=a:8}"])
def test_a_text_does_not_contradict_itself(text: str) -> None:
    with pytest.raises(OptionError, match="twice"):
        parse(text)


@pytest.mark.parametrize("line", ["--group w1=8 --group w1=9", "--input x:1,4 --input x:2,4"])
def test_a_command_line_does_not_contradict_itself(tmp_path: Path, line: str) -> None:
    onnx.save(TEACHER, tmp_path / "net.onnx")
    done = call("widen", tmp_path / "net.onnx", *line.split())
    assert (done.exit_code, "is given twice" in done.stderr) == (2, True)
    assert call("widen", tmp_path / "net.onnx", *line.split()[:2], "--no-verify").exit_code == 0


def test_a_model_that_is_in_no_file_is_not_written() -> None:
    for place in ({"output": "a.onnx"}, {"record": "a.growth"}):
        with pytest.raises(OptionError, match="returned"):
            onnx_n2n.widen(TEACHER, **place)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Widen, "include"), (Widen, "exclude"), (Deepen, "after"), (Enlarge, "include"), (Enlarge, "exclude")],
)
@given(extra=st.lists(st.sampled_from(["zzz*", "stem.0z", "[!a-~]"]), unique=True))
@settings(STABLE, max_examples=4)
def test_a_glob_that_matches_nothing_is_noted_and_others_are_not(
    kind: type[Pass], name: str, extra: list[str]
) -> None:
    result = kind(**{name: ["stem.0", *extra]})(RESNET, proof=Proof(wanted=False))
    noted = [note for note in result.change.notes if f"`{name}=`" in note]
    assert [note.partition(" of ")[0] for note in noted] == [repr(glob) for glob in extra]
