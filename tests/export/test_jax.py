"""JAX functions made of models: they compute the same, and they train."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from helpers.carried import GRAPHS as ONCE_WRONG
from helpers.carried import REFUSED
from helpers.graphs import model
from helpers.needing import needs
from helpers.trained import GOLDEN, GRAPHS, MODELS, shapes_of
from onnx_n2n import export
from onnx_n2n.errors import ExportError
from onnx_n2n.export.check import agreement

jax = needs("jax")
needs("safetensors")

import jax.numpy as jnp  # noqa: E402

from onnx_n2n.export.folder import export as export_to  # noqa: E402
from onnx_n2n.export.jax import runner  # noqa: E402

jax.config.update("jax_disable_most_optimizations", True)  # compiling takes longer than running here

SMALL = ("resnet",)  # to compile the others takes long


def inputs_of(proto: onnx.ModelProto) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, np.float32) for shape in shapes_of(proto)]


def assert_agrees_and_trains(proto: onnx.ModelProto) -> None:
    apply, params, state = export.to_jax(proto)
    found = agreement(proto, runner(apply, params, state))
    assert found.ok, found
    inputs = inputs_of(proto)

    @jax.jit
    @jax.value_and_grad
    def loss_of(params: Any) -> Any:
        outputs, _ = apply(params, state, inputs)
        return sum(jnp.square(y - 1).mean() for y in outputs.values())

    loss, gradients = loss_of(params)
    norms = [float(jnp.square(g).sum()) for g in jax.tree.leaves(gradients)]
    assert norms
    assert all(np.isfinite(norms))
    rate = 1e-3 * loss / sum(norms)
    moved = jax.tree.map(lambda p, g: p - rate * g, params, gradients)
    assert loss_of(moved)[0] < loss


@pytest.mark.parametrize("name", GRAPHS)
def test_small_graphs_agree_and_train(name: str) -> None:
    assert_agrees_and_trains(GRAPHS[name])


@pytest.mark.parametrize("name", SMALL)
def test_golden_models_agree_and_train(name: str) -> None:
    assert_agrees_and_trains(onnx.load(MODELS / GOLDEN[name]["file"]))


def test_batch_normalization_trains_and_is_pure() -> None:
    proto = onnx.load(MODELS / GOLDEN["resnet"]["file"])
    apply, params, state = export.to_jax(proto)
    before = jax.tree.map(np.array, state)
    run = jax.jit(apply, static_argnames="train")
    _, rest = run(params, state, inputs_of(proto))
    _, moved = run(params, state, inputs_of(proto), train=True)
    same = jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), before, rest)
    other = jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), before, moved)
    assert all(jax.tree.leaves(same))
    assert not any(jax.tree.leaves(other))
    assert jax.tree.structure(moved) == jax.tree.structure(state)


def test_names_are_paths() -> None:
    _, params, state = export.to_jax(MODELS / GOLDEN["resnet"]["file"])
    assert set(params["stem"]) == {"0", "1"}
    assert set(params["stem"]["1"]) == {"weight", "bias"}
    assert set(state["stem"]["1"]) == {"running_mean", "running_var"}


def test_dropout_draws_from_the_key_that_it_is_given() -> None:
    proto = model("h = MatMul(x, w) y = Dropout(h)", "float[N,4] x", "float[N,64] y", w=(4, 64))
    apply, params, state = export.to_jax(proto)
    x = inputs_of(proto)
    outputs = [
        apply(params, state, x, train=train, rngs=rngs)[0]["y"]
        for train, rngs in ((False, jax.random.key(0)), (True, None), (True, {"dropout": jax.random.key(0)}))
    ]
    assert jnp.array_equal(outputs[0], outputs[1])
    assert not jnp.array_equal(outputs[0], outputs[2])


def test_a_length_that_depends_on_data_is_said() -> None:
    proto = model("h = MatMul(x, w) y = Reshape(h, s)", "float[2,3] x, int64[2] s", "float[?,?] y", w=(3, 4))
    apply, params, state = export.to_jax(proto)
    inputs = [np.ones((2, 3), np.float32), np.array([4, 2])]
    assert apply(params, state, inputs)[0]["y"].shape == (4, 2)
    with pytest.raises(ExportError, match="depends on data"):
        jax.jit(apply)(params, state, inputs)


@pytest.mark.parametrize("name", ONCE_WRONG)
def test_what_was_wrong_once(name: str) -> None:
    apply, params, state = export.to_jax(ONCE_WRONG[name])
    found = agreement(ONCE_WRONG[name], lambda feed: list(apply(params, state, feed)[0].values()))
    assert found.ok, found


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_refused(name: str) -> None:
    proto, reason = REFUSED[name]
    with pytest.raises(ExportError, match=reason):
        export.to_jax(proto)


def test_a_folder_is_opened_again(tmp_path: Path) -> None:
    path = MODELS / GOLDEN["resnet"]["file"]
    export_to(path, "jax", tmp_path / "out", verify=False)
    opened, made = export.load(tmp_path / "out"), export.to_jax(path)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, opened[1:], made[1:]))
