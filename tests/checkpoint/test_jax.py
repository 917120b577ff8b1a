"""From a JAX or Keras network to a wider one: values, gradients, and the state of the optimizer.

Exporters of both keep no names, so that parameters are known by their values. What jax2onnx makes is tried where it is
installed, and what it would make, written by hand, everywhere; Keras on each backend whose exporter is installed.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_n2n
from helpers.needing import lacking, needs
from onnx_n2n.checkpoint.growth import apply, grow
from onnx_n2n.checkpoint.pytrees import MOMENTS, grow_optax, grow_tree

jax = needs("jax")
flax = needs("flax")
optax = needs("optax")
jnp = jax.numpy
linen: Any = needs("flax.linen")

SHAPE = (8, 6, 6, 3)


class Net(linen.Module):  # type: ignore[misc]
    """A network whose widths are arguments; images have their channels last."""

    channels: int = 12
    hidden: int = 20

    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Return logits."""
        x = linen.Conv(self.channels, (3, 3), use_bias=False, name="conv1")(x)
        x = linen.relu(linen.BatchNorm(use_running_average=not train, name="bn1")(x))
        x = linen.relu(linen.Conv(self.channels, (3, 3), name="conv2")(x)).mean((1, 2))
        return linen.Dense(10, name="fc2")(linen.relu(linen.Dense(self.hidden, name="fc1")(x)))


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: optax.sgd(0.02, momentum=0.9),
    "adam": lambda: optax.adam(1e-3),
    "amsgrad": lambda: optax.chain(optax.clip(1e6), optax.amsgrad(1e-3)),
    "adamw": lambda: optax.inject_hyperparams(optax.adamw)(1e-3),
    "rmsprop": lambda: optax.rmsprop(1e-3, centered=True),
    "adagrad": lambda: optax.adagrad(1e-2),
    "masked": lambda: optax.masked(optax.adam(1e-3), lambda tree: {name: name != "conv1" for name in tree}),
}


def images(seed: int) -> tuple[Any, Any]:
    first, second = jax.random.split(jax.random.key(seed))
    return jax.random.normal(first, SHAPE), jax.random.randint(second, SHAPE[:1], 0, 10)


def gradients(net: Any, variables: Any, seed: int) -> tuple[Any, Any]:
    """Return the gradients of a batch, and what the norm has gathered."""
    x, labels = images(seed)

    def loss(params: Any) -> tuple[Any, Any]:
        tree = {**variables, "params": params}
        logits, updates = net.apply(tree, x, train=True, mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), updates["batch_stats"]

    return jax.grad(loss, has_aux=True)(variables["params"])


def trained(net: Any, variables: Any, optimizer: Any, state: Any, seeds: range) -> tuple[Any, Any]:
    for seed in seeds:
        found, statistics = gradients(net, variables, seed)
        updates, state = optimizer.update(found, state, variables["params"])
        variables = {"params": optax.apply_updates(variables["params"], updates), "batch_stats": statistics}
    return variables, state


def start(net: Any) -> Any:
    return net.init(jax.random.key(0), images(0)[0])


def written(variables: Any) -> onnx.ModelProto:
    """Write the network as exporters do: without names, with kernels in ONNX's order, channels first inside."""
    params, statistics = variables["params"], variables["batch_stats"]["bn1"]
    weights = [
        params["conv1"]["kernel"].transpose(3, 2, 0, 1),
        params["bn1"]["scale"],
        params["bn1"]["bias"],
        statistics["mean"],
        statistics["var"],
        params["conv2"]["kernel"].transpose(3, 2, 0, 1),
        params["conv2"]["bias"],
        params["fc1"]["kernel"],
        params["fc1"]["bias"],
        params["fc2"]["kernel"],
        params["fc2"]["bias"],
    ]
    named = [numpy_helper.from_array(np.array(each), f"const_{at}") for at, each in enumerate(weights)]
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "const_0"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "const_1", "const_2", "const_3", "const_4"], ["n"], epsilon=1e-5),
        helper.make_node("Relu", ["n"], ["r1"]),
        helper.make_node("Conv", ["r1", "const_5", "const_6"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("ReduceMean", ["r2", "axes"], ["m"], keepdims=0),
        helper.make_node("Gemm", ["m", "const_7", "const_8"], ["g"]),
        helper.make_node("Relu", ["g"], ["r3"]),
        helper.make_node("Gemm", ["r3", "const_9", "const_10"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *SHAPE[1:]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        [*named, numpy_helper.from_array(np.array([2, 3]), "axes")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def exported(variables: Any) -> onnx.ModelProto:
    jax2onnx = needs("jax2onnx")
    found: onnx.ModelProto = jax2onnx.to_onnx(
        lambda x: Net().apply(variables, x), [jax.ShapeDtypeStruct(SHAPE, np.float32)]
    )
    del found.graph.value_info[:]  # jax2onnx 0.17.1 declares shapes with channels last that have them first
    return found


def names(tree: Any, before: str = "") -> dict[str, np.ndarray]:
    """Return all leaves of a nested dict by their dotted path."""
    found = {}
    for key, value in tree.items():
        name = f"{before}{key}"
        found |= names(value, f"{name}.") if isinstance(value, dict) else {name: np.asarray(value)}
    return found


def sizes(variables: Any) -> dict[str, int]:
    return {
        "channels": variables["params"]["conv1"]["kernel"].shape[-1],
        "hidden": variables["params"]["fc1"]["kernel"].shape[-1],
    }


def assert_close(ours: Any, theirs: Any, within: float = 2e-5) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for (path, one), other in zip(jax.tree_util.tree_flatten_with_path(ours)[0], jax.tree.leaves(theirs), strict=True):
        assert np.shape(one) == np.shape(other), path
        assert np.abs(np.subtract(one, other)).max() <= within * np.abs(other).max() + 1e-8, path


@pytest.mark.parametrize("export", [written, exported])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_at_the_new_width(name: str, export: Callable[[Any], onnx.ModelProto]) -> None:
    net, optimizer = Net(), OPTIMIZERS[name]()
    variables = start(net)
    variables, state = trained(net, variables, optimizer, optimizer.init(variables["params"]), range(1, 5))
    model = export(variables)
    teacher = ir.from_proto(model)
    record = onnx_n2n.widen(model, 1.5, init="net2net", noise=0).growth

    grown = grow_tree(record, variables, teacher=teacher)
    wider = Net(**sizes(grown))
    assert sizes(grown) == {"channels": 18, "hidden": 30}
    assert jax.tree.map(np.shape, grown) == jax.tree.map(np.shape, start(wider))
    x, _ = images(99)
    assert np.abs(wider.apply(grown, x) - net.apply(variables, x)).max() < 1e-5

    matched = grow(record, names(variables), teacher=teacher).record
    ours, _ = gradients(wider, grown, 99)
    theirs, _ = gradients(net, variables, 99)
    wanted = apply(matched, names({"params": theirs}), lambda remade, array: remade.gradient(array)).arrays
    for leaf, array in names({"params": ours}).items():
        assert np.abs(array - wanted[leaf]).max() < 2e-5 * np.abs(wanted[leaf]).max() + 1e-8, leaf

    # A step of the grown optimizer gathers what the old one's step, grown, has gathered.
    wide_state = grow_optax(record, state, variables, teacher=teacher)
    assert_close(jax.tree.map(np.shape, wide_state), jax.tree.map(np.shape, optimizer.init(grown["params"])))
    _, wide_after = optimizer.update(ours, wide_state, grown["params"])
    _, after = optimizer.update(theirs, state, variables["params"])
    assert_close(wide_after, grow_optax(record, after, variables, teacher=teacher), 1e-4)


def test_trees_stay_of_their_kind() -> None:
    net = Net()
    variables, _ = trained(net, start(net), optax.sgd(0.1), optax.sgd(0.1).init(start(net)["params"]), range(1, 3))
    model = written(variables)
    teacher, record = ir.from_proto(model), onnx_n2n.widen(model, 1.5, init="net2net", noise=0).growth
    frozen = flax.core.freeze(variables)
    assert isinstance(grow_tree(record, frozen, teacher=teacher), flax.core.FrozenDict)
    grown = grow_tree(record, names(variables), teacher=teacher)
    assert all(isinstance(array, np.ndarray) for array in grown.values())
    slashes = {name.replace(".", "/"): array for name, array in names(variables).items()}
    assert set(grow_tree(record, slashes, teacher=teacher)) == set(slashes)
    halves = jax.tree.map(lambda array: array.astype(jnp.bfloat16), variables)
    kernel = grow_tree(record, halves, given=given_of(), keep=["params.fc2.bias"])["params"]["fc1"]["kernel"]
    assert isinstance(kernel, jax.Array)
    assert kernel.dtype == jnp.bfloat16


def given_of() -> dict[str, str]:
    """Say by hand which weight is which parameter, of those that grow or are known by a name."""
    order = [
        "params.conv1.kernel:permuted:3201", "params.bn1.scale", "params.bn1.bias", "batch_stats.bn1.mean",
        "batch_stats.bn1.var", "params.conv2.kernel:permuted:3201", "params.conv2.bias", "params.fc1.kernel",
        "params/fc1/bias", "params.fc2.kernel:same",
    ]  # fmt: skip
    return {f"const_{at}": name for at, name in enumerate(order)}


def test_states_of_nnx() -> None:
    nnx = needs("flax.nnx")

    class Two(nnx.Module):  # type: ignore[misc]
        def __init__(self, hidden: int) -> None:
            self.fc1 = nnx.Linear(4, hidden, rngs=nnx.Rngs(1))
            self.fc2 = nnx.Linear(hidden, 3, rngs=nnx.Rngs(2))

        def __call__(self, x: Any) -> Any:
            return self.fc2(nnx.relu(self.fc1(x)))

    net = Two(8)
    net.fc1.bias[...] = jnp.linspace(-1, 1, 8)
    params = nnx.state(net, nnx.Param)
    arrays = [net.fc1.kernel, net.fc1.bias, net.fc2.kernel, net.fc2.bias]
    nodes = [
        helper.make_node("Gemm", ["x", "const_0", "const_1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "const_2", "const_3"], ["y"]),
    ]
    weights = [numpy_helper.from_array(np.array(each[...]), f"const_{at}") for at, each in enumerate(arrays)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", n]) for name, n in (("x", 4), ("y", 3))]
    graph = helper.make_graph(nodes, "two", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    record = onnx_n2n.widen(model, 1.5, init="net2net", noise=0).growth

    wider = Two(12)
    nnx.update(wider, grow_tree(record, params, teacher=ir.from_proto(model)))  # the bias of fc2 is all zeros
    x = jax.random.normal(jax.random.key(0), (5, 4))
    assert np.abs(wider(x) - net(x)).max() < 1e-5
    state = grow_optax(record, optax.adam(1e-3).init(params), params, teacher=ir.from_proto(model))
    nnx.Optimizer(wider, optax.adam(1e-3), wrt=nnx.Param)
    assert_close(state, optax.adam(1e-3).init(nnx.state(wider, nnx.Param)))


def test_new_layers_get_places_and_the_second_moments_of_what_they_are_like() -> None:
    net, optimizer = Net(), optax.adam(1e-3)
    variables = start(net)
    variables, state = trained(net, variables, optimizer, optimizer.init(variables["params"]), range(1, 3))
    model = written(variables)
    result = onnx_n2n.deepen(model, after=["const_7"])
    how: dict[str, Any] = {"teacher": ir.from_proto(model), "student": ir.from_proto(result.model)}
    grown = grow_tree(result.growth, variables, **how)
    assert grown["params"]["fc1_deeper"]["kernel"].shape == (20, 20)
    with pytest.raises(onnx_n2n.GrowthError, match="the optimizer has no place for"):
        grow_optax(result.growth, state, variables, **how)
    anew = optimizer.init(grown["params"])
    after = grow_optax(result.growth, state, variables, anew=anew, **how)
    assert int(after[0].count) == 2
    assert not after[0].mu["fc1_deeper"]["kernel"].any()
    for kind in ("kernel", "bias"):  # optax's count goes on, and does not make up for moments of zero
        assert np.allclose(after[0].nu["fc1_deeper"][kind], state[0].nu["fc1"][kind].mean(), rtol=1e-5)
    assert np.array_equal(after[0].nu["fc2"]["kernel"], state[0].nu["fc2"]["kernel"])


def test_states_without_a_rule_are_refused() -> None:
    net = Net()
    variables, _ = trained(net, start(net), optax.sgd(0.1), optax.sgd(0.1).init(start(net)["params"]), range(1, 3))
    model = written(variables)
    teacher, record = ir.from_proto(model), onnx_n2n.widen(model, 1.5, init="net2net", noise=0).growth
    for optimizer, reason in (
        (optax.adafactor(1e-3), "the optimizer keeps .* no moment of one parameter"),
        (optax.MultiSteps(optax.adam(1e-3), 2).gradient_transformation(), "the optimizer keeps 'acc_grads"),
        (optax.rmsprop(1e-3, momentum=0.5), "RMSprop with momentum"),
    ):
        with pytest.raises(onnx_n2n.GrowthError, match=reason):
            grow_optax(record, optimizer.init(variables["params"]), variables, teacher=teacher)
    with pytest.raises(onnx_n2n.GrowthError, match="no parameter for"):
        grow_tree(record, variables)
    other = {**variables, "params": {**variables["params"], "ema": jnp.ones(3)}}
    with pytest.raises(onnx_n2n.GrowthError, match="does not know 1 tensor"):
        grow_tree(record, other, teacher=teacher)
    assert grow_tree(record, other, teacher=teacher, keep=["params/ema"])["params"]["ema"].shape == (3,)
    adamax = optax.adamax(1e-3)
    state = grow_optax(
        record, adamax.init(variables["params"]), variables, teacher=teacher, moments={**MOMENTS, "nu": "exp_avg"}
    )
    assert state[0].nu["fc1"]["kernel"].shape == (18, 30)


@pytest.mark.parametrize(("name", "fits"), [("adam_w", True), ("rm_sprop", False), ("mine", False)])
def test_a_momentum_of_keras_beside_a_velocity_must_be_of_an_adam(name: str, fits: bool) -> None:
    net = Net()
    variables, _ = trained(net, start(net), optax.sgd(0.1), optax.sgd(0.1).init(start(net)["params"]), range(1, 3))
    model = written(variables)
    teacher, record = ir.from_proto(model), onnx_n2n.widen(model, 1.5, init="net2net", noise=0).growth
    weights = {leaf.replace(".", "/"): array for leaf, array in names(variables).items()}
    kinds = ("momentum", "velocity")
    kernel = "params/fc1/kernel"
    state = {f"{name}/{kernel.replace('/', '_')}_{kind}": np.ones_like(weights[kernel]) for kind in kinds}
    if fits:
        grown = grow_optax(record, state, weights, teacher=teacher)
        assert all(array.shape == (18, 30) for array in grown.values())
        return
    with pytest.raises(onnx_n2n.GrowthError, match="RMSprop with momentum"):
        grow_optax(record, state, weights, teacher=teacher)


KERAS = """
import os, sys
from pathlib import Path

import keras
import numpy as np

import onnx_n2n
from onnx_n2n.checkpoint.pytrees import grow_optax, grow_tree

L = keras.layers


def make(channels=12, hidden=20):
    image = keras.Input((6, 6, 3), name="image")
    y = L.Conv2D(channels, 3, padding="same", use_bias=False, name="conv1")(image)
    y = L.ReLU()(L.BatchNormalization(name="bn1")(y))
    y = L.ReLU()(L.DepthwiseConv2D(3, padding="same", name="dw")(y))
    y = L.ReLU()(L.BatchNormalization(name="bn2")(L.Conv2D(channels, 1, use_bias=False, name="conv2")(y)))
    y = L.Dense(hidden, activation="relu", name="fc1")(L.GlobalAveragePooling2D()(y))
    model = keras.Model(image, L.Dense(10, name="fc2")(y))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3, amsgrad=True, name="adam"), loss)
    return model


def batch(seed):
    random = np.random.default_rng(seed)
    return random.normal(size=(8, 6, 6, 3)).astype("float32"), random.integers(0, 10, 8)


def paths(variables):
    return {each.path: keras.ops.convert_to_numpy(each) for each in variables}


def assign(variables, values):
    for each in variables:
        each.assign(values[each.path])


keras.utils.set_random_seed(0)
model = make()
for seed in range(4):
    model.train_on_batch(*batch(seed))
path = Path(sys.argv[1]) / "net.onnx"
model.export(path, format="onnx", verbose=False)
record = onnx_n2n.widen(path, 1.5, init="net2net", noise=0).growth
teacher = onnx_n2n.load(path)
weights = paths(model.weights)
grown = grow_tree(record, weights, teacher=teacher)
wider = make(grown["conv1/kernel"].shape[-1], grown["fc1/kernel"].shape[-1])
assert grown["conv1/kernel"].shape[-1] == 18, grown["conv1/kernel"].shape
assign(wider.weights, grown)
x = batch(9)[0]
difference = np.abs(keras.ops.convert_to_numpy(wider(x)) - keras.ops.convert_to_numpy(model(x))).max()
assert difference < 1e-5, difference

wider.optimizer.build(wider.trainable_variables)
assign(wider.optimizer.variables, grow_optax(record, paths(model.optimizer.variables), weights, teacher=teacher))
for each in (model, wider):
    each.train_on_batch(*batch(9))
wanted = grow_optax(record, paths(model.optimizer.variables), weights, teacher=teacher)
for name, ours in paths(wider.optimizer.variables).items():
    scale = np.abs(wanted[name]).max()
    assert np.abs(ours - wanted[name]).max() <= 1e-4 * scale + 1e-9, (name, np.abs(ours - wanted[name]).max(), scale)
print("ALIKE", len(wanted))
"""
EXPORTERS = {"tensorflow": ("tensorflow", "tf2onnx"), "torch": ("torch", "onnxscript"), "jax": ("jax", "jax2onnx")}


@pytest.mark.parametrize("backend", EXPORTERS)
def test_keras_goes_on_at_the_new_width(tmp_path: Path, backend: str) -> None:
    missing = [name for name in ("keras", *EXPORTERS[backend]) if importlib.util.find_spec(name) is None]
    if missing:
        lack = pytest.skip if backend == "tensorflow" else lacking  # TensorFlow is in no extra
        lack(f"{missing[0]} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", KERAS, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert "ALIKE" in done.stdout, done.stderr[-3000:]
