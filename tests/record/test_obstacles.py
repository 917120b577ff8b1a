"""What a record says at once of why no checkpoint can follow is what growing one says later; else it can be grown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import onnx_n2n
from helpers.calling import call, net
from helpers.enlarging import UNPROVEN
from helpers.graphs import model
from helpers.growths import GROWTHS, MEAN, record_of
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.cli.commands import loaded
from onnx_n2n.cli.keywords import all_spoken, spoken
from onnx_n2n.errors import GrowthError
from onnx_n2n.passes import Deepen, Widen, parse
from onnx_n2n.record.layouts import SAME, ChannelLayout
from onnx_n2n.record.obstacles import Obstacle, obstacles
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.record import Record


def initializers(teacher: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in teacher.graph.initializer}


@pytest.mark.parametrize("name", GROWTHS)
def test_what_is_said_at_once_is_what_growing_says(name: str) -> None:
    """Of a checkpoint that has each weight as a parameter of its name."""
    growing, teacher = GROWTHS[name]
    record, found = record_of(name), obstacles(record_of(name))
    student = onnx_n2n.io.model.open_model(growing(teacher, proof=UNPROVEN).model).model
    if found:
        with pytest.raises(GrowthError) as caught:
            grow(record, initializers(teacher), student=student, keep=["*"])
        assert (caught.value.reason, caught.value.hint) == (found[0].reason, found[0].hint)
    else:
        assert grow(record, initializers(teacher), student=student, keep=["*"]).grown or not record.steps[0].remade


def test_some_growths_have_obstacles_and_some_have_none() -> None:
    """Else the law above says less than it seems to."""
    found = {name: obstacles(record_of(name)) for name in GROWTHS}
    assert {bool(each) for each in found.values()} == {True, False}
    assert not found["fresh"]
    assert not found["passes"]
    assert "multiplies inputs of 1 node by shares" in found["a mean"][0].reason


TIED_BLOCK = model(
    "h = MatMul(x, W) n = LayerNormalization(h, g, b) u = MatMul(n, A) r = Relu(u) t = Transpose<perm=[1,0]>(A) "
    "e = MatMul(r, t) d = Relu(e) m = MatMul(d, B) z = Add(h, m) y = MatMul(z, V)",
    "float[2,5,3] x", "y", W=(3, 8), g=(8,), b=(8,), A=(8, 12), B=(8, 8), V=(8, 3),
)  # fmt: skip


def unnamed(teacher: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """Rename weights as exporters do that leave no names."""
    found = onnx.ModelProto.FromString(teacher.SerializeToString())
    for tensor in found.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in found.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    return found


def test_weights_without_names_are_said_and_help_is() -> None:
    record = Widen(factor=1.5)(unnamed(net(), {"w": "onnx::Conv_7"}), proof=UNPROVEN).growth
    (found,) = obstacles(record)
    assert "no parameter for 1 of the weights that grew: 'onnx::Conv_7'" in found.reason
    assert not found.final
    assert "`teacher=`" in found.hint
    named = replace(record, origins={**record.origins, "onnx::Conv_7": (Origin(("w",), SAME, "", "user"),)})
    assert not obstacles(named)


@pytest.mark.parametrize("passes", ["deepen,widen", "widen,deepen,widen", "enlarge,widen", "widen,widen"])
def test_weights_that_grow_in_a_later_step_only_are_not_forgotten(passes: str) -> None:
    """Whatever was done before: added layers have names of their own, all others need one."""
    layers = ("h = Conv<pads=[1,1,1,1]>(x, w) r = Relu(h) a = Conv<pads=[1,1,1,1]>(r, u) s = Relu(a) y = Conv(s, v)",
              "float[N,3,6,6] x", "y")  # fmt: skip
    teacher = model(*layers, w=(4, 3, 3, 3), u=(4, 4, 3, 3), v=(2, 4, 1, 1))
    record = parse(passes)(teacher, proof=UNPROVEN).growth
    assert not obstacles(record)
    for weight in ("w", "u", "v"):
        lacking = replace(record, origins={name: found for name, found in record.origins.items() if name != weight})
        assert [found.reason for found in obstacles(lacking)] == [
            f"there is no parameter for 1 of the weights that grew: {weight!r}"
        ]


def test_a_norm_that_was_folded_is_needed_by_a_layer_that_is_modelled_on_it() -> None:
    record = Deepen()(GROWTHS["deeper"][1], proof=UNPROVEN).growth
    assert not obstacles(record)
    like = next(new.like for step in record.steps for new in step.new if new.like in record.origins)
    folded = Origin(("norm.weight",), ChannelLayout(0), "", "metadata")
    record = replace(record, origins={**record.origins, like: (*record.origins[like], folded)})
    (found,) = obstacles(record)
    assert found.reason == f"a norm was folded into {like!r}, and what was modelled on it has none"
    assert found.final


def test_a_folded_norm_cannot_follow_mixtures() -> None:
    record = record_of("quiet")
    weight = next(
        each.teacher for each in record.steps[0].remade
        for row in each.recipe.rows if row is not None and row.combination is not None
    )  # fmt: skip
    grown = next(each for each in record.steps[0].remade if each.teacher == weight)
    axis = next(axis for axis, row in enumerate(grown.recipe.rows) if row is not None)
    folded = Origin(("norm.weight",), ChannelLayout(axis), "", "metadata")
    (found,) = obstacles(replace(record, origins={**record.origins, weight: (*record.origins[weight], folded)}))
    assert found.reason == "'norm.weight' was folded into a weight that grew by mixtures of its channels"


def test_a_new_weight_that_would_have_to_be_two_parameters() -> None:
    """Its reason is that of a layer that was added, and not that a name is missing."""
    result = parse("deepen,widen{factor=1.5}")(TIED_BLOCK, proof=UNPROVEN)
    own, added = obstacles(result.growth)
    assert own.reason.startswith("'A' is used in two places that grew differently, and what it is called")
    assert added.reason.startswith("'A_deeper' of an added layer is used in two places that grew differently")
    assert added.final


def followable(tmp_path: Path, teacher: onnx.ModelProto, *arguments: object) -> tuple[dict[str, Any], str]:
    """What a command says, as JSON and as text."""
    onnx.save(teacher, tmp_path / "teacher.onnx")
    command, *options = arguments
    where = (tmp_path / "teacher.onnx", "-o", tmp_path / "student.onnx", "--force", "--no-verify", *options)
    document = json.loads(call(command, *where, "--json").stdout)
    result = call(command, *where)
    assert result.exit_code == 0, result.stderr
    return document, result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("widen", "--factor", 1.5, "--init", "net2net"), ("run", "-p", "widen{factor=1.5,init=net2net},widen")],
)
def test_whoever_writes_a_record_is_told_at_once(tmp_path: Path, arguments: tuple[object, ...]) -> None:
    document, text = followable(tmp_path, MEAN, *arguments, "--record", tmp_path / "growth")
    found = obstacles(onnx_n2n.join([tmp_path / "growth"]))
    assert found[0].final
    with click.Context(loaded(str(arguments[0]))):  # the words are those of the command
        assert document["followable"] == {"ok": False, "obstacles": [all_spoken(each.to_json()) for each in found]}
        assert f"Note: no checkpoint can follow this student: {spoken(str(found[0]))}." in text
    document, text = followable(tmp_path, MEAN, *arguments)
    assert document["followable"] is None
    assert "checkpoint" not in text


def test_a_record_that_checkpoints_can_follow_has_no_note(tmp_path: Path) -> None:
    document, text = followable(tmp_path, net(), "widen", "--factor", 1.5, "--record", tmp_path / "growth")
    assert document["followable"] == {"ok": True, "obstacles": []}
    assert "Note:" not in text
    names = {"w": "onnx::Conv_7"}
    document, text = followable(tmp_path, unnamed(net(), names), "widen", "--record", tmp_path / "growth")
    assert not document["followable"]["ok"]
    assert "Note: by this record alone no checkpoint can follow: there is no parameter for 1 of the weights" in text


def test_what_the_own_code_has_to_follow_is_in_the_report(tmp_path: Path) -> None:
    """In JSON always, in text where there is a record, and the same in both."""
    teacher = GROWTHS["quiet"][1]
    document, text = followable(tmp_path, teacher, "widen", "--factor", 1.5, "--record", tmp_path / "growth")
    record: Record = onnx_n2n.join([tmp_path / "growth"])
    assert document["settings"] == [setting.to_json() for setting in record.settings]
    assert document["settings"]
    for setting in record.settings:
        assert f"  {setting} in {setting.node}" in text or f", {setting.node}" in text
    document, text = followable(tmp_path, GROWTHS["enlarged"][1], "enlarge", "--record", tmp_path / "growth")
    assert {setting["name"] for setting in document["settings"]} >= {"pads[0]"}
    assert "The network's own code has to follow:" in text


def test_an_obstacle_reads_as_two_sentences() -> None:
    assert f"{Obstacle('it is so', 'do that')}." == "it is so. Do that."
