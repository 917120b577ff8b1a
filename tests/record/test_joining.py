"""Records of passes that were applied one by one are the record of all of them, in their order and in no other."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnx_n2n
from helpers.calling import call, files, net
from helpers.deepening import resnet, transformer
from helpers.enlarging import UNPROVEN
from helpers.graphs import model
from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.io.history import digest
from onnx_n2n.passes import parse
from onnx_n2n.passes.driver import Target
from onnx_n2n.record import record as records

NORM = model("h = MatMul(x, W) n = LayerNormalization<epsilon=0.00003>(h, g, b) y = MatMul(n, V)",
             "float[2,5,3] x", "y", W=(3, 7), g=(7,), b=(7,), V=(7, 3))  # fmt: skip
WAYS: dict[str, tuple[onnx.ModelProto, list[str]]] = {
    "wider and wider": (net(), ["widen{factor=1.5}", "widen{factor=1.4,init=net2net}", "widen{factor=1.2}"]),
    "deeper, larger, wider": (resnet(1), ["deepen", "enlarge", "widen{factor=1.5}"]),
    "a stream": (transformer(), ["widen{factor=1.5}", "deepen", "widen{factor=1.3,init=net2net}", "deepen"]),
    "numbers that no binary fraction is": (NORM, ["widen{factor=1.3}", "widen{factor=1.7}", "widen{factor=1.1}"]),
}


def one_by_one(teacher: onnx.ModelProto, passes: list[str], folder: Path) -> list[Path]:
    """Write a model, whose nodes have names, and its students to files; return the records."""
    found, path, named = [], folder / "teacher.onnx", onnx.ModelProto.FromString(teacher.SerializeToString())
    for number, node in enumerate(named.graph.node):
        node.name = f"{node.op_type}_{number}"
    onnx.save(named, path)
    for number, text in enumerate(passes):
        target = Target(folder / f"{number}.onnx", record=folder / f"{number}.growth")
        result = parse(text)(path, proof=UNPROVEN, output=target)
        assert result.modified, text
        assert result.growth.student == digest(onnx_n2n.load(result.model)), "a student is the same when it is read"
        path = result.model
        found.append(folder / f"{number}.growth")
    return found


@pytest.mark.parametrize("name", WAYS)
def test_one_by_one_is_at_once(name: str, tmp_path: Path) -> None:
    teacher, passes = WAYS[name]
    paths = one_by_one(teacher, passes, tmp_path)
    target = Target(tmp_path / "at_once.onnx")
    at_once = parse(",".join(passes))(tmp_path / "teacher.onnx", proof=UNPROVEN, output=target)
    joined = onnx_n2n.join(paths)
    assert joined.to_bytes() == at_once.growth.to_bytes()
    assert joined.student == digest(onnx_n2n.load(at_once.model))
    first = onnx_n2n.join([onnx_n2n.join(paths[:1]), *map(records.load, paths[1:-1])])
    assert onnx_n2n.join([first, paths[-1]]).to_bytes() == joined.to_bytes(), "records can be joined again"


def test_no_other_order_fits_and_the_right_one_is_said(tmp_path: Path) -> None:
    paths = one_by_one(*WAYS["wider and wider"], tmp_path)
    for order in set(permutations(paths)) - {tuple(paths)}:
        with pytest.raises(ModelError, match="does not follow") as caught:
            onnx_n2n.join(order)
        assert caught.value.hint == f"in this order they fit: {', '.join(repr(str(path)) for path in paths)}"
    for chosen in ([paths[0], paths[2]], [paths[1], paths[1]]):
        with pytest.raises(ModelError, match="one may be missing") as caught:
            onnx_n2n.join(chosen)
        one, other = map(records.load, chosen)
        assert repr(str(chosen[1])) in caught.value.reason
        assert one.student[:12] in caught.value.reason
        assert other.teacher[:12] in caught.value.reason
    with pytest.raises(ModelError, match="record 2 does not follow record 1"):
        onnx_n2n.join([records.load(path) for path in paths[::-1]])
    with pytest.raises(OptionError, match="no growth record"):
        onnx_n2n.join([])


def test_the_settings_of_many_passes_are_from_the_first_to_the_last(tmp_path: Path) -> None:
    joined = onnx_n2n.join(one_by_one(*WAYS["numbers that no binary fraction is"], tmp_path))
    assert len(joined.steps) == 3
    student = onnx.load(tmp_path / "2.onnx")
    norm = next(node for node in student.graph.node if node.op_type == "LayerNormalization")
    epsilon = next(attribute.f for attribute in norm.attribute if attribute.name == "epsilon")
    found = {setting.name: setting for setting in joined.settings if setting.node == norm.name}
    assert found["epsilon"].after == epsilon
    assert found["epsilon"].before == float(np.float32(3e-5))


def test_the_command_joins(tmp_path: Path) -> None:
    paths = one_by_one(*WAYS["a stream"], tmp_path)
    joined = onnx_n2n.join(paths)
    result = call("join", *paths, "-o", tmp_path / "all.growth", "--json")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "all.growth").read_bytes() == joined.to_bytes()
    document = json.loads(result.stdout)
    assert document["passes"] == [step.text for step in joined.steps]
    assert (document["teacher"], document["student"]) == (joined.teacher, joined.student)
    assert document["settings"] == [setting.to_json() for setting in joined.settings]
    assert document["followable"]["ok"]
    text = call("join", *paths, "-o", tmp_path / "all.growth", "--force")
    assert f"4 passes: {', '.join(document['passes'])}." in text.stderr
    assert document["settings"]
    for setting in joined.settings:
        assert any(str(setting) in line and setting.node in line for line in text.stderr.splitlines()), setting


def test_a_join_that_fails_writes_nothing(tmp_path: Path) -> None:
    paths = one_by_one(*WAYS["wider and wider"], tmp_path)
    before = files(tmp_path)
    for arguments, code in (
        ((*paths[::-1], "-o", tmp_path / "all"), 3),
        ((*paths, "-o", paths[0], "--force"), 2),
        ((*paths, "-o", paths[0]), 2),
        ((*paths, "-o", "-"), 2),
        ((tmp_path / "teacher.onnx", "-o", tmp_path / "all"), 3),
        ((tmp_path / "none", "-o", tmp_path / "all"), 3),
        (("-o", tmp_path / "all"), 2),
    ):
        assert call("join", *arguments).exit_code == code, arguments
        assert files(tmp_path) == before
