"""Keras models made of models: they compute the same, train, and are the same when they are loaded again.

The tests run on the backend that KERAS_BACKEND names, on JAX without it; the last one runs most of them on TensorFlow.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from helpers.graphs import model
from helpers.needing import needs
from helpers.trained import GOLDEN, MODELS
from helpers.trained import GRAPHS as OF_ALL
from onnx_n2n import export
from onnx_n2n.cli import main
from onnx_n2n.errors import ExportError, VerificationError
from onnx_n2n.export.check import agreement
from onnx_n2n.export.frameworks import missing

needs("jax")
keras = needs("keras")

from onnx_n2n.export import keras as lane  # noqa: E402
from onnx_n2n.export.folder import export as export_to  # noqa: E402
from onnx_n2n.export.jax import run  # noqa: E402
from onnx_n2n.export.keras.plan import read, written  # noqa: E402

ON_TENSORFLOW = os.environ["KERAS_BACKEND"] == "tensorflow"

NORM = {"scale": np.full(5, 1.5, np.float32), "shift": (5,), "mean": (5,), "var": np.full(5, 0.5, np.float32)}
NORMALISED = model(
    "h = MatMul(x, w) y = BatchNormalization(h, scale, shift, mean, var)", "float[N,4] x", "float[N,5] y",
    w=(4, 5), **NORM,
)  # fmt: skip

GRAPHS: dict[str, onnx.ModelProto] = {
    **{name: OF_ALL[name] for name in ("reshape by its own length", "a choice by data")},
    "normalisation": NORMALISED,
    "two inputs of one free length, two outputs": model(
        """e = Gather(table, ids) z = Add(e, x) t = MatMul(z, w) a = ReduceMean<axes = [1], keepdims = 0>(t)""",
        "int64[N,S] ids, float[N,S,4] x", "float[N,S,3] t, float[N,3] a", table=(9, 4), w=(4, 3),
    ),
    "recurrent": model(
        """p = Transpose<perm = [1, 0, 2]>(x) h, hl, hc = LSTM<hidden_size = 3>(p, w, r, b) y = Squeeze(hl, axis)""",
        "float[N,3,4] x", "float[N,3] y", w=(1, 12, 4), r=(1, 12, 3), b=(1, 24), axis=np.array([0]),
    ),
    "a loop": model(
        """y = Loop(n, , x) <body = b (int64 i, bool c, float[N,4] h) => (bool c2, float[N,4] k)
        { c2 = Identity(c) m = MatMul(h, w) k = Tanh(m) }>""",
        "float[N,4] x", "float[N,4] y", w=(4, 4), n=np.array(3),
    ),
}  # fmt: skip


def inputs_of(network: Any, length: int = 6) -> Any:
    rng = np.random.default_rng(0)
    shapes = [[length if n is None else n for n in x.shape] for x in network.inputs]
    found = [
        rng.standard_normal(shape, np.float32) if "float" in x.dtype else rng.integers(0, 9, shape)
        for x, shape in zip(network.inputs, shapes, strict=True)
    ]
    return found[0] if len(found) == 1 else found


def ones_like(values: Any) -> Any:
    return {name: np.ones_like(y) for name, y in values.items()} if isinstance(values, dict) else np.ones_like(values)


def values_of(network: Any) -> dict[str, np.ndarray]:
    return {variable.name: np.array(variable.value) for variable in network.weights}


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
    return np.array_equal(one, other)


@pytest.mark.parametrize("name", GRAPHS)
def test_agrees_trains_and_comes_back(name: str, tmp_path: Path) -> None:
    network = export.to_keras(GRAPHS[name])
    found = agreement(GRAPHS[name], lane.runner(network))
    assert found.ok, found
    x = inputs_of(network)
    targets = ones_like(network.predict(x, verbose=0))
    network.compile(keras.optimizers.SGD(1e-2), "mse")
    before = network.evaluate(x, targets, verbose=0, return_dict=True)["loss"]
    network.fit(x, targets, batch_size=4, epochs=2, verbose=0)  # a batch of 4, and one of 2
    assert network.evaluate(x, targets, verbose=0, return_dict=True)["loss"] < before
    network.save(tmp_path / "x.keras")
    loaded = keras.models.load_model(tmp_path / "x.keras")
    assert equal(values_of(loaded), values_of(network))
    assert equal(loaded.predict(x, verbose=0), network.predict(x, verbose=0))
    loaded.fit(x, targets, verbose=0)


@pytest.mark.parametrize("name", GOLDEN)
def test_weights_are_trained_under_their_names(name: str) -> None:
    path = MODELS / GOLDEN[name]["file"]
    network = export.to_keras(path)
    _, params, state = export.to_jax(path)
    assert {variable.name for variable in network.trainable_variables} == dotted(params)
    assert {v.name for v in network.non_trainable_variables} - {"seed_generator_state"} == dotted(state)


def dotted(tree: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in tree.items():
        found |= dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name}
    return found


@pytest.mark.parametrize("name", [*GOLDEN, *GRAPHS])
def test_what_is_written_is_read(name: str) -> None:
    path = GRAPHS[name] if name in GRAPHS else MODELS / GOLDEN[name]["file"]
    text = written(export.to_keras(path).layers[-1].plan)
    assert written(read(json.loads(json.dumps(text)))) == text


def test_a_golden_model_agrees() -> None:
    path = MODELS / GOLDEN["resnet"]["file"]
    found = agreement(path, lane.runner(export.to_keras(path)))
    assert found.ok, found


def test_statistics_move_in_training_alone() -> None:
    network = export.to_keras(NORMALISED)
    x = inputs_of(network)
    network.compile("sgd", "mse")
    before = values_of(network)
    network.predict(x, verbose=0)
    assert equal(values_of(network), before)
    network.fit(x, np.zeros((6, 5)), verbose=0)
    assert {name for name, value in values_of(network).items() if not equal(value, before[name])} == set(before)
    network.layers[-1].trainable = False
    network.compile("sgd", "mse")
    before = values_of(network)
    network.fit(x, np.zeros((6, 5)), verbose=0)
    assert equal(values_of(network), before)


def test_training_normalises_by_the_batch() -> None:
    network = export.to_keras(NORMALISED)
    y = np.asarray(network(inputs_of(network, 32), training=True))
    shift = values_of(network)["y.batch_norm.bias"]
    assert np.allclose(y.mean(0), shift, atol=1e-5)  # not so with the statistics of the file
    assert np.allclose(y.std(0), 1.5, atol=1e-3)


def test_dropout_drops_something_else_in_every_step() -> None:
    proto = model("h = MatMul(x, w) y = Dropout(h)", "float[N,4] x", "float[N,64] y", w=(4, 64))
    network = export.to_keras(proto)
    x = inputs_of(network)
    still, again = (np.asarray(network(x)) for _ in range(2))
    one, other = (np.asarray(network(x, training=True)) for _ in range(2))
    assert np.array_equal(still, again)
    assert not np.array_equal(one == 0, other == 0)
    assert 0.3 < (one == 0).mean() < 0.7


def test_inputs_come_in_order_or_by_name() -> None:
    network = export.to_keras(GRAPHS["two inputs of one free length, two outputs"])
    ids, x = inputs_of(network)
    found = network([ids, x])
    named = network({"x": x, "ids": ids})
    assert found.keys() == named.keys() == {"t", "a"}
    assert all(np.array_equal(found[name], named[name]) for name in found)


def test_half_precision_stays_half() -> None:
    proto = model("y = MatMul(x, w)", "float16[N,4] x", "float16[N,3] y", w=np.ones((4, 3), np.float16))
    network = export.to_keras(proto)
    assert [variable.dtype for variable in network.weights] == ["float16"]
    assert agreement(proto, lane.runner(network)).ok


@pytest.mark.parametrize("order", ["keras, onnx_n2n.export", "onnx_n2n.export.keras, keras"])
def test_a_saved_model_is_loaded_by_who_has_imported_this(order: str, tmp_path: Path) -> None:
    network = export.to_keras(NORMALISED)
    network.save(tmp_path / "x.keras")
    code = f"import {order}; print(len(keras.models.load_model({str(tmp_path / 'x.keras')!r}).weights))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == "5"


def test_a_folder_is_opened_again(tmp_path: Path) -> None:
    path, folder = MODELS / GOLDEN["resnet"]["file"], tmp_path / "out"
    found = CliRunner().invoke(main, ["export", str(path), "--to", "keras", "-o", str(folder), "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["agreement"]["ok"]
    assert {each.name for each in folder.iterdir()} == {"model.keras", "export.json"}
    made = values_of(export.to_keras(path))
    assert equal(values_of(export.load(folder)), made)
    assert equal(values_of(export.load(folder / "model.keras")), made)


def test_a_wrong_number_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proto = model("h = MatMul(x, w) y = Tanh(h)", "float[N,4] x", "float[N,3] y", w=(4, 3))
    monkeypatch.setitem(run.TABLE, "Tanh", run.TABLE["Sigmoid"])
    with pytest.raises(VerificationError, match="'y' is off"):
        export_to(proto, "keras", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.keras").write_text("nothing")
    with pytest.raises(ExportError, match="cannot load"):
        export.load(tmp_path / "x.keras")


def test_a_backend_without_jax_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ExportError, match=r"runs on torch.*KERAS_BACKEND=jax.*to_torch"):
        export.to_keras(NORMALISED)


@pytest.mark.parametrize(
    ("package", "hint"), [("keras", r"onnx-n2n\[keras\]"), ("jax", r"\[keras\]"), ("tensorflow", "KERAS_BACKEND=jax")]
)
def test_what_is_missing_is_said(package: str, hint: str) -> None:
    with pytest.raises(ExportError, match=f"{package} is not installed.*{hint}"), missing("keras"):
        raise ModuleNotFoundError(name=package)


def test_a_length_that_depends_on_data_is_said() -> None:
    proto = model("h = MatMul(x, w) y = Reshape(h, s)", "float[2,3] x, int64[2] s", "float[?,?] y", w=(3, 4))
    network = export.to_keras(proto)
    x, s = np.ones((2, 3), np.float32), np.array([4, 2])
    with pytest.raises(ExportError, match="depends on data"):
        network.predict_on_batch([x, s])
    if not ON_TENSORFLOW:
        assert network([x, s]).shape == (4, 2)


@pytest.mark.skipif(ON_TENSORFLOW, reason="it is this very run")
@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_the_laws_hold_on_tensorflow() -> None:
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    laws = "comes_back or agrees or training or dropout or by_name or half or data"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-k", laws, __file__]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    assert " passed" in found.stdout
