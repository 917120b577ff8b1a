"""The exploration: budgets are met, students agree with their teacher, and nothing lies about that should not."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import Result

import onnx_n2n
from helpers import calling
from helpers.calling import MODELS, files
from helpers.graphs import TOLERANCE as ROUNDING
from helpers.graphs import Judge, model
from onnx_n2n.errors import OptionError
from onnx_n2n.passes import parse
from onnx_n2n.search.budget import Budget, sized
from onnx_n2n.search.candidates import DIRECTIONS, Candidate
from onnx_n2n.search.cost import multiply_adds
from onnx_n2n.search.exploration import explore
from onnx_n2n.search.making import TOLERANCE
from onnx_n2n.verification.options import Proof

NAMES = [direction.name for direction in DIRECTIONS]


def call(*arguments: object) -> Result:
    return calling.call("explore", *arguments)


def net() -> onnx.ModelProto:
    """A model of 192 + 576 + 192 = 960 parameters, in which a layer more has 576."""
    body = "a = MatMul(x, u) b = Relu(a) c = MatMul(b, v) d = Relu(c) y = MatMul(d, w)"
    return model(body, "float[batch,8] x", "y", u=(8, 24), v=(24, 24), w=(24, 8))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small model."""
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "net.onnx")
    return tmp_path


def within(found: int | None, goal: float) -> bool:
    return found is not None and abs(found - goal) <= TOLERANCE * goal


# --- laws


def check(teacher: onnx.ModelProto, found: Candidate) -> None:
    """Check that a candidate is what it says, and that its passes make it again."""
    student = onnx.load(found.path)
    assert found.verdict is not None
    assert found.verdict.ok
    judge = Judge(teacher)
    assert judge.meaningful
    assert judge.error(student) < ROUNDING
    opened = onnx_n2n.load(found.path)
    assert (found.parameters, found.multiply_adds) == (sized(opened, {}).parameters, multiply_adds(opened).total)
    again = parse(found.passes)(teacher, proof=Proof(wanted=False)).model
    assert again.SerializeToString() == student.SerializeToString()


def test_golden_model_has_all_candidates_within_the_tolerance(tmp_path: Path) -> None:
    teacher = onnx.load(MODELS / "resnet.onnx")
    found = explore(MODELS / "resnet.onnx", "params=2x", output=tmp_path / "out", seed=3)
    assert [each.name for each in found] == NAMES
    assert set(files(tmp_path / "out")) == {f"{name}.onnx" for name in NAMES}
    for each in found:
        assert within(each.parameters, 2 * 122_249)
        assert each.passes.count("seed=3") == each.passes.count("{")
        check(teacher, each)
    layers = [len(onnx.load(each.path).graph.node) - len(teacher.graph.node) for each in found]
    assert [added > 0 for added in layers] == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("budget", "shapes"),
    [
        ("params=4x", {}),
        ("params=3.84k", {}),
        ("params=0.00384M", {}),
        ("macs=4x", {}),
        ("macs=3840", {}),
        ("macs=26.88k", {"x": (7, 8)}),
    ],
)
def test_budgets_of_all_forms_are_met(folder: Path, budget: str, shapes: dict[str, tuple[int, ...]]) -> None:
    found = explore("net.onnx", budget, verify=False, shapes=shapes)
    for each in found:
        assert within(each.parameters, 3840)
        assert within(each.multiply_adds, 3840 * (7 if shapes else 1))
        assert (each.verdict, each.failure) == (None, None)
    assert len(found) == len(NAMES)


def test_square_root_of_the_growth_is_left_to_the_second_pass(folder: Path) -> None:
    both = explore("net.onnx", "params=4x", verify=False, candidates=DIRECTIONS[3:4])[0]
    deepened = parse(both.passes.partition(",")[0])(net())
    assert deepened.report.parameters_after == 960 + 576 * 2  # of 2 * 960, the nearest
    assert within(both.parameters, 4 * 960)


def test_same_seed_gives_the_same_bytes_however_many_work(folder: Path) -> None:
    def written(name: str, **options: Any) -> dict[str, bytes | None]:
        explore("net.onnx", "params=4x", output=name, **options)
        return files(folder / name)

    one = written("one", seed=1)
    assert one == written("two", seed=1, jobs=2)
    other = written("other", seed=2, verify=False)
    assert all(one[name] != other[name] for name in one)


def test_workers_are_where_the_exploration_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are kept for the next one, which may be begun in another folder."""
    first = explore("net.onnx", "params=4x", verify=False, jobs=2)
    (folder / "inside").mkdir()
    monkeypatch.chdir(folder / "inside")
    onnx.save(net(), "other.onnx")
    second = explore("other.onnx", "params=4x", verify=False, jobs=2)
    assert [each.failure for each in (*first, *second)] == [None] * 2 * len(NAMES)


def test_candidates_that_come_out_alike_are_written_once(folder: Path) -> None:
    twice = [DIRECTIONS[0], replace(DIRECTIONS[0], name="again"), DIRECTIONS[4]]
    found = explore("net.onnx", "params=2x", candidates=twice, verify=False)
    assert [each.name for each in found] == ["wider", "wider-copies"]


def test_inputs_say_at_which_shapes_is_counted(folder: Path) -> None:
    np.savez("data.npz", x=np.random.default_rng(0).standard_normal((5, 8), np.float32))
    result = call("net.onnx", "--budget", "macs=4x", "--inputs", "data.npz", "--json", "--jobs", 1)
    document = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert (document["goal"], document["multiply_adds"]["inputs"]) == (4 * 5 * 960, {"x": [5, 8]})


# --- what cannot be had


def test_what_misses_the_budget_is_listed_with_the_nearest_and_not_written(folder: Path) -> None:
    result = call("net.onnx", "--budget", "params=1.3x")
    assert (result.exit_code, result.stdout) == (0, "")
    line = next(line for line in result.stderr.splitlines() if line.startswith("deeper "))
    assert re.search(r"deepen\{count=1\} +1,536 +x1\.60 .* the nearest is 23\.1 % above the budget", line)
    assert "wider.onnx" in files(folder / "net.explored")
    assert "deeper.onnx" not in files(folder / "net.explored")


def test_force_leaves_no_older_file_of_a_candidate_that_fails(folder: Path) -> None:
    assert call("net.onnx", "--budget", "params=1.6x").exit_code == 0
    first = files(folder / "net.explored")
    assert {"wider.onnx", "deeper.onnx"} <= set(first)
    refused = call("net.onnx", "--budget", "params=1.3x")
    assert (refused.exit_code, "exists already" in refused.stderr) == (2, True)
    assert files(folder / "net.explored") == first
    assert call("net.onnx", "--budget", "params=1.3x", "--force").exit_code == 0
    assert "deeper.onnx" not in files(folder / "net.explored")
    assert files(folder / "net.explored")["wider.onnx"] != first["wider.onnx"]


def test_teacher_is_never_overwritten(folder: Path) -> None:
    (folder / "net.onnx").rename("wider.onnx")
    before = files(folder)
    result = call("wider.onnx", "--budget", "params=2x", "-o", ".", "--force")
    assert (result.exit_code, "inputs are never written" in result.stderr) == (2, True)
    assert files(folder) == before


def test_wrong_students_are_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verify, before = onnx_n2n.verify, files(folder)

    def doubt(*arguments: Any, **options: Any) -> Any:
        return replace(verify(arguments[0], arguments[1]), ok=False)

    monkeypatch.setattr(importlib.import_module("onnx_n2n.verification"), "verify", doubt)
    result = call("net.onnx", "--budget", "params=4x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not compute what the teacher computes" in result.stderr
    assert result.stderr.count("\n") == 1
    assert files(folder) == before


def pinned() -> None:
    onnx.save(model("y = MatMul(x, w)", "float[2,4] x", "y", w=(4, 4)), "net.onnx")


def unknown() -> None:
    onnx.save(model("a = MatMul(x, w) b = my.Own(a) y = MatMul(b, v)", "float[2,4] x", "y", w=(4, 4), v=(4, 4)),
              "net.onnx")  # fmt: skip


def idle() -> None:
    onnx.save(model("h = Relu(x) y = Add(h, w)", "float[2,4] x", "y", w=(4,)), "net.onnx")


def coarse() -> None:
    onnx.save(model("a = MatMul(x, w) y = MatMul(a, v)", "float[2,4] x", "y", w=(4, 2), v=(2, 4)), "net.onnx")


WRONG = [  # what is done first, the command line, its exit code, and what the error must say
    (None, "net.onnx", 2, ["Missing option '--budget'"]),
    (None, "net.onnx --budget 2x", 2, ["'2x' is no budget", "params=2x"]),
    (None, "net.onnx --budget params", 2, ["is no budget"]),
    (None, "net.onnx --budget params=", 2, ["is no budget"]),
    (None, "net.onnx --budget params=-2x", 2, ["is no budget"]),
    (None, "net.onnx --budget flops=2x", 2, ["is no budget"]),
    (None, "net.onnx --budget params=2m", 2, ["is no budget"]),
    (None, "net.onnx --budget params=1x", 2, ["leaves nothing to grow", "more than 1x"]),
    (None, "net.onnx --budget macs=0.5x", 2, ["leaves nothing to grow"]),
    (None, "net.onnx --budget params=960", 2, ["the budget is 960 parameters, and the model has 960 already"]),
    (None, "net.onnx --budget params=2x --jobs 0", 2, ["jobs must be at least 1, or -1"]),
    (None, "net.onnx --budget params=2x --seed -1", 2, ["seed must be at least 0"]),
    (None, "net.onnx --budget params=2x -o net.onnx", 2, ["cannot make the folder 'net.onnx'", "-o"]),
    (None, "net.onnx --budget params=2x -o no/where", 2, ["cannot make the folder", "No such file"]),
    (None, "gone.onnx --budget params=2x", 3, ["'gone.onnx' does not exist"]),
    (None, "net.onnx --budget params=2x --input z:1,8", 3, ["no input 'z'"]),
    (None, "net.onnx --budget params=2x --inputs gone.npz", 3, ["gone.npz", "does not exist"]),
    (pinned, "net.onnx --budget params=2x", 3, ["mostly for this reason: graph", "deepen: nothing can be added"]),
    (unknown, "net.onnx --budget params=2x", 3, ["the shape of 'b' is not known", "inspect"]),
    (idle, "net.onnx --budget macs=2x", 2, ["no multiply-adds that could be counted"]),
    (coarse, "net.onnx --budget params=1.2x", 3, ["give or take 10 %", "25.0 % above the budget (widen{factor=1.25})"]),
]


@pytest.mark.parametrize(
    ("before", "line", "code", "says"), [pytest.param(*row, id=f"{i}-{row[1]}") for i, row in enumerate(WRONG)]
)
def test_what_is_wrong_ends_in_one_paragraph_and_no_file(
    folder: Path, before: Any, line: str, code: int, says: list[str]
) -> None:
    if before is not None:
        before()
    there = files(folder)
    result = call(*line.split())
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    for part in says:
        assert part in result.stderr
    assert files(folder) == there


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("params=2x", Budget("params", 2, relative=True)),
        ("macs=1.5x", Budget("macs", 1.5, relative=True)),
        ("params=1.5M", Budget("params", 1.5e6, relative=False)),
        ("macs=300k", Budget("macs", 3e5, relative=False)),
        ("macs=2G", Budget("macs", 2e9, relative=False)),
        ("params=7B", Budget("params", 7e9, relative=False)),
        ("params=4096", Budget("params", 4096, relative=False)),
    ],
)
def test_budgets_read(text: str, wanted: Budget) -> None:
    assert Budget.read(text) == wanted


def test_table_says_what_was_assumed_and_how_it_went(folder: Path) -> None:
    result = call("net.onnx", "--budget", "macs=4x")
    assert (result.exit_code, result.stdout) == (0, "")
    said = "Budget: 3,840 multiply-adds. The model has 960 parameters, and 960 multiply-adds in a run on x [1,8]"
    assert f"{said}, where batch is taken as 1.\n" in result.stderr
    assert len(re.findall(r"verified, error \d", result.stderr)) == len(NAMES)
    assert result.stderr.endswith("Written to net.explored\n")
    shutil.rmtree("net.explored")
    said = call("net.onnx", "--budget", "macs=4x", "--input", "x:3,8", "--no-verify").stderr
    assert "x [3,8].\n" in said
    assert said.count("not verified") == len(NAMES)


def test_seed_below_zero_is_refused_in_python_too(folder: Path) -> None:
    with pytest.raises(OptionError, match="seed"):
        explore("net.onnx", "params=2x", seed=-1)
