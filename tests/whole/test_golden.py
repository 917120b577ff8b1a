"""The golden models: trained networks whose recorded outputs no rewrite may change."""

import hashlib
import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnx_n2n

MODELS = Path(__file__).parents[2] / "models"
MANIFEST: dict[str, dict[str, Any]] = json.loads((MODELS / "manifest.json").read_text())
TOLERANCE = 1e-5  # of how far the outputs move between the recorded samples
TRACES_OF_A_MACHINE = re.compile(rb'/(?:home|root|tmp|usr|opt|mnt|var|Users)/|[A-Z]:\\Users|site-packages|\.py"')

every_model = pytest.mark.parametrize("name", MANIFEST)


def load(name: str) -> onnx.ModelProto:
    return onnx.load(MODELS / MANIFEST[name]["file"])


def recorded(name: str, kind: str) -> dict[str, np.ndarray]:
    with np.load(MODELS / MANIFEST[name]["recording"]) as recording:
        return {key.removeprefix(f"{kind}/"): recording[key] for key in recording if key.startswith(f"{kind}/")}


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def error(actual: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, measured by how far the expected outputs move from sample to sample."""
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / np.ptp(expected, axis=0).max())


def assert_reproduces_recording(model: onnx.ModelProto, name: str) -> None:
    inputs, outputs = recorded(name, "inputs"), recorded(name, "outputs")
    # A model whose batch is open must also take fewer samples: a rewrite may have fixed the size on the way.
    for batch in (None, 3) if MANIFEST[name]["batch"] == "dynamic" else (None,):
        actual = run(model, {key: value[:batch] for key, value in inputs.items()})
        assert actual.keys() == outputs.keys()
        for key, expected in outputs.items():
            assert error(actual[key], expected[:batch]) <= TOLERANCE, (key, batch)


def parameters(model: onnx.ModelProto) -> int:
    return sum(
        int(np.prod(tensor.dims)) for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT
    )


@every_model
def test_files_are_those_of_the_manifest(name: str) -> None:
    entry = MANIFEST[name]
    for file, sha256 in ((entry["file"], entry["sha256"]), (entry["recording"], entry["recording_sha256"])):
        assert hashlib.sha256((MODELS / file).read_bytes()).hexdigest() == sha256, file


def test_every_model_is_in_the_manifest() -> None:
    listed = {entry[kind] for entry in MANIFEST.values() for kind in ("file", "recording")}
    assert {file.name for pattern in ("*.onnx", "*.npz") for file in MODELS.glob(pattern)} == listed


@every_model
def test_file_is_small_and_names_no_machine(name: str) -> None:
    content = (MODELS / MANIFEST[name]["file"]).read_bytes()
    assert len(content) < 5_000_000
    assert TRACES_OF_A_MACHINE.findall(content) == []


@every_model
def test_batch_normalization_is_kept_and_trained(name: str) -> None:
    model = load(name)
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    assert len(nodes) == MANIFEST[name]["batch_normalizations"] > 0
    for node in nodes:
        _, _, mean, variance = (weights[weight] for weight in node.input[1:])
        assert np.ptp(mean) > 0, node.name
        assert np.ptp(variance) > 0, node.name


@every_model
def test_recording_tells_every_two_samples_apart(name: str) -> None:
    for values in recorded(name, "outputs").values():
        distances = [np.abs(one - other).max() for one, other in combinations(values, 2)]
        assert min(distances) > 1000 * TOLERANCE * np.ptp(values, axis=0).max()


@every_model
def test_teacher_reproduces_recording(name: str) -> None:
    assert_reproduces_recording(load(name), name)


@every_model
@pytest.mark.parametrize("factor", [1.5, 2])
@pytest.mark.parametrize("init", ["net2net", "zero"])
def test_student_reproduces_recording(name: str, factor: float, init: str) -> None:
    teacher = load(name)
    student = onnx_n2n.widen(teacher, factor, seed=0, init=init, verify=False).model
    # Nearly every weight has an axis that can grow, and most have two: less than this, and something was left behind.
    assert parameters(student) > factor * parameters(teacher)
    assert_reproduces_recording(student, name)
