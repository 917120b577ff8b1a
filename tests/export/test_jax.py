"""JAX functions made of models: they compute the same, and they train."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from helpers.carried import GRAPHS as ONCE_WRONG
from helpers.carried import REFUSED
from helpers.graphs import model
from helpers.needing import needs
from onnx_n2n import export
from onnx_n2n.errors import ExportError
from onnx_n2n.export.check import agreement

jax = needs("jax")
needs("safetensors")

import jax.numpy as jnp  # noqa: E402

from onnx_n2n.export.folder import export as export_to  # noqa: E402
from onnx_n2n.export.jax import runner  # noqa: E402

jax.config.update("jax_disable_most_optimizations", True)  # compiling takes longer than running here

MODELS = Path(__file__).parents[2] / "models"
GOLDEN = json.loads((MODELS / "manifest.json").read_text())

GRAPHS: dict[str, onnx.ModelProto] = {
    "reshape by its own length": model(
        """s = Shape(x) b = Gather(s, zero) r = Concat<axis = 0>(b, rest) h = MatMul(x, w) y = Reshape(h, r)""",
        "float[N,6] x", "float[N,2,4] y", w=(6, 8), zero=np.array([0]), rest=np.array([2, 4]),
    ),
    "pools with odd padding": model(
        """a = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]>(x)
        b = AveragePool<kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]>(x)
        c = AveragePool<kernel_shape = [2, 2], strides = [2, 2], auto_pad = "SAME_UPPER">(x)
        s = Sum(a, b, c) y = Conv(s, w)""",
        "float[N,2,8,8] x", "float[N,3,4,4] y", w=(3, 2, 1, 1),
    ),
    "transposed convolution in groups": model(
        """y = ConvTranspose<group = 2, strides = [2, 2], pads = [1, 0, 1, 1], output_padding = [1, 0]>(x, w, b)""",
        "float[N,4,5,5] x", "float[N,6,?,?] y", w=(4, 3, 3, 3), b=(6,),
    ),
    "transposed convolution of a stated size": model(
        """u = ConvTranspose<auto_pad = "SAME_UPPER", strides = [2, 2], output_shape = [10, 8]>(x, w, b)
        v = ConvTranspose<strides = [2, 2], output_shape = [12, 10]>(u, w, b)
        y = ConvTranspose<auto_pad = "VALID", strides = [2, 2], output_shape = [26, 22]>(v, w, b)""",
        "float[N,4,5,4] x", "float[N,4,26,22] y", w=(4, 4, 3, 3), b=(4,),
    ),
    "resizes": model(
        """a = Resize<mode = "linear", coordinate_transformation_mode = "half_pixel">(x, , scales)
        b = Resize<mode = "cubic", coordinate_transformation_mode = "align_corners">(x, , scales)
        s = Sum(a, b) y = Conv(s, w)""",
        "float[N,2,4,5] x", "float[N,3,8,15] y", w=(3, 2, 1, 1), scales=[1.0, 1.0, 2.0, 3.0],
    ),
    "recurrent in both directions": model(
        """p = Transpose<perm = [1, 0, 2]>(x)
        h, hl, hc = LSTM<direction = "bidirectional", hidden_size = 3>(p, w, r, b)
        t = Transpose<perm = [0, 2, 1, 3]>(h) f = Reshape(t, flat)
        g, gl = GRU<hidden_size = 2, linear_before_reset = 1>(f, w2, r2, b2) y = Squeeze(gl, axis)""",
        "float[N,5,4] x", "float[N,2] y", w=(2, 12, 4), r=(2, 12, 3), b=(2, 24), w2=(1, 6, 6), r2=(1, 6, 2), b2=(1, 12),
        flat=np.array([0, 0, 6]), axis=np.array([0]),
    ),
    "a choice by data": model(
        """s = ReduceSum<keepdims = 0>(x) c = Greater(s, zero)
        y = If(c) <then_branch = a () => (float[N,3] p) { p = MatMul(x, w) },
                   else_branch = b () => (float[N,3] q) { h = MatMul(x, w) q = Neg(h) }>""",
        "float[N,4] x", "float[N,3] y", w=(4, 3), zero=np.array(0.0, np.float32),
    ),
    "a loop": model(
        """y, all = Loop(n, , x) <body = b (int64 i, bool c, float[N,4] h) => (bool c2, float[N,4] k, float[N,4] o)
        { c2 = Identity(c) m = MatMul(h, w) k = Tanh(m) o = Identity(k) }>""",
        "float[N,4] x", "float[N,4] y, float[3,N,4] all", w=(4, 4), n=np.array(3),
    ),
}  # fmt: skip

SMALL = ("resnet",)  # to compile the others takes long


def inputs_of(proto: onnx.ModelProto) -> list[np.ndarray]:
    given = {tensor.name for tensor in proto.graph.initializer}
    rng = np.random.default_rng(0)
    shapes = [
        [dim.dim_value or 3 for dim in value.type.tensor_type.shape.dim]
        for value in proto.graph.input
        if value.name not in given
    ]
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


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
