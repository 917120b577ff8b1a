"""`verify --exact`: exit codes, documents, options that go with it, and that it needs no ONNX Runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import to_array

import onnx_n2n
from helpers.calling import MODELS, call
from helpers.graphs import model
from onnx_n2n import exact

FIELDS = {
    "state", "chance", "primes", "seconds", "shapes", "constants", "largest_rounding", "output", "node", "operator",
    "reason", "declared", "beyond", "relations",
}  # fmt: skip
EXITS = {"equal": 0, "different": 1, "undecided": 3}

pytestmark = pytest.mark.unasked


def perceptron(body: str = "h = MatMul(x, w) y = Relu(h)", **constants: object) -> onnx.ModelProto:
    return model(body, "float[N,3] x", "y", **({"w": (3, 4)} | constants))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    onnx.save(perceptron(), tmp_path / "equal.onnx")
    wrong = perceptron()
    wrong.graph.initializer[0].raw_data = (2 * to_array(wrong.graph.initializer[0])).tobytes()
    onnx.save(wrong, tmp_path / "different.onnx")
    onnx.save(perceptron("h = MatMul(x, w) y = NoSuch(h)"), tmp_path / "undecided.onnx")
    return tmp_path


@pytest.mark.parametrize("state", EXITS)
def test_exit_code_text_and_document_say_the_verdict(files: Path, state: str) -> None:
    line = ("verify", files / "equal.onnx", files / f"{state}.onnx", "--exact")
    text, outcome = call(*line), call(*line, "--json")
    assert text.exit_code == outcome.exit_code == EXITS[state]
    assert text.stderr.startswith(f"{state.capitalize()} ") or text.stderr.startswith(f"{state.capitalize()}:")
    document = json.loads(outcome.stdout)
    assert document["ok"] == {"equal": True, "different": False, "undecided": None}[state]
    assert "verification" not in document
    assert document["exact"].keys() == FIELDS
    assert document["exact"]["state"] == state
    verdict = onnx_n2n.verify(files / "equal.onnx", files / f"{state}.onnx", exact=True)
    assert isinstance(verdict, exact.Verdict)
    assert bool(verdict) == (state == "equal")
    assert verdict.to_json() | {"seconds": 0} == document["exact"] | {"seconds": 0, "chance": verdict.chance}


def test_a_trace_is_a_line_for_each_tensor(files: Path) -> None:
    line = ("verify", files / "equal.onnx", files / "different.onnx")
    text, outcome = call(*line, "--exact", "--trace"), call(*line, "--exact", "--trace", "--json")
    assert "h (from MatMul node 'h'): none of the teacher's\n" in text.stderr
    relations = json.loads(outcome.stdout)["exact"]["relations"]
    assert [each["tensor"] for each in relations] == ["h", "y"]
    assert not any(each["whole"] for each in relations)
    same = call("verify", *line[1:2] * 2, "--exact", "--trace")
    assert "h (from MatMul node 'h'): the teacher's h\n" in same.stderr
    alone = call(*line, "--trace")
    assert alone.exit_code == 2
    assert "--trace goes with --exact only" in alone.stderr


def test_shapes_of_inputs_go_with_it(files: Path) -> None:
    outcome = call("verify", files / "equal.onnx", files / "equal.onnx", "--exact", "--input", "x:5,3", "--json")
    assert json.loads(outcome.stdout)["exact"]["shapes"] == [{"x": [5, 3]}]


@pytest.mark.parametrize(
    "option", [("--provider", "cpu"), ("--time-limit", "5"), ("--seed", "3"), ("--inputs", "data.npz")]
)
def test_options_of_running_do_not_go_with_it(files: Path, option: tuple[str, str]) -> None:
    np.savez(files / "data.npz", x=np.zeros((2, 3), "f4"))
    option = option[0], str(files / option[1]) if option[0] == "--inputs" else option[1]
    outcome = call("verify", files / "equal.onnx", files / "equal.onnx", "--exact", *option)
    assert outcome.exit_code == 2
    assert f"{option[0]} does not go with --exact" in outcome.stderr


def test_a_record_goes_with_nothing_else(files: Path) -> None:
    outcome = call("verify", files / "equal.onnx", files / "equal.onnx", "--record", files / "record")
    assert outcome.exit_code == 2
    assert "--record goes with --exact" in outcome.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("equal.onnx", "cannot be read as a growth record"),
        ("missing", "does not exist. It was looked for in"),
        ("", "it is not a file"),
        ("n" * 300, "File name too long"),
    ],
)
def test_a_record_that_is_none_is_an_error(files: Path, name: str, says: str) -> None:
    outcome = call("verify", files / "equal.onnx", files / "equal.onnx", "--exact", "--record", files / name)
    assert outcome.exit_code == 3
    assert says in outcome.stderr


def test_a_model_that_is_none_is_an_error(files: Path) -> None:
    (files / "empty.onnx").touch()
    for name, says in (("missing.onnx", "does not exist"), ("empty.onnx", "it has no graph")):
        for pair in ((files / name, files / "equal.onnx"), (files / "equal.onnx", files / name)):
            outcome = call("verify", *pair, "--exact")
            assert outcome.exit_code == 3
            assert says in outcome.stderr


def test_outputs_that_gain_go_with_it(files: Path) -> None:
    wide = perceptron(w=(3, 4))
    (weight,) = wide.graph.initializer
    array = np.concatenate([to_array(weight), np.ones((3, 2), "f4")], 1)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save(wide, files / "wide.onnx")
    assert call("verify", files / "equal.onnx", files / "wide.onnx", "--exact").exit_code == 1
    assert call("verify", files / "equal.onnx", files / "wide.onnx", "--exact", "--gained", "y").exit_code == 0
    assert call("verify", files / "equal.onnx", files / "wide.onnx", "--exact", "--gained", "z").exit_code == 2


def test_models_in_memory_are_compared() -> None:
    teacher = perceptron()
    for student in (teacher, teacher.SerializeToString(), onnx_n2n.load):
        given = onnx.shape_inference.infer_shapes(teacher) if callable(student) else student
        assert onnx_n2n.verify(teacher, given, exact=True)


def test_it_needs_no_onnx_runtime(files: Path) -> None:
    """In a process in which ONNX Runtime cannot be imported."""
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from onnx_n2n.cli import main\n"
        "main(['verify', *sys.argv[1:], '--exact'], standalone_mode=False)"
    )
    names = [str(files / "equal.onnx")] * 2
    done = subprocess.run([sys.executable, "-c", program, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("Equal for every input")


def test_a_growing_command_makes_the_check_and_says_what_it_says(tmp_path: Path) -> None:
    line = ("widen", MODELS / "resnet.onnx", "--factor", 1.2, "--exact", "-o", tmp_path / "wide.onnx", "--force")
    text, document = call(*line), json.loads(call(*line, "--json").stdout)
    assert text.exit_code == 0
    assert document["exact"].keys() == FIELDS
    assert document["exact"]["state"] == "equal"
    assert document["verification"]["ok"]
    assert "\nVerified: " in text.stderr
    assert "\nEqual for every input of these shapes" in text.stderr
    (shapes,) = document["exact"]["shapes"]
    assert f"image[{','.join(map(str, shapes['image']))}]" in text.stderr


def test_a_growing_command_that_verifies_nothing_takes_no_exact(files: Path) -> None:
    outcome = call("widen", files / "equal.onnx", "--exact", "--no-verify")
    assert outcome.exit_code == 2
    assert "--exact does not go with --no-verify" in outcome.stderr


def test_what_is_not_known_is_one_line(files: Path) -> None:
    """Of a model with an output that is random."""
    body = "h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) s = RandomNormalLike(y) z = Add(y, s)"
    onnx.save(model(body, "float[N,3] x", "y, z", w=(3, 4), v=(4, 2)), files / "random.onnx")
    outcome = call("widen", files / "random.onnx")
    assert outcome.exit_code == 0
    assert "\nExact check: undecided at RandomNormalLike node 's': " in outcome.stderr
