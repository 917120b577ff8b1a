"""Train a network, make it wider, and train on, in JAX.

    pip install 'onnx-n2n[jax,cpu]' jax2onnx optax    # jax2onnx itself brings onnxruntime, the build for CPUs
    python examples/jax_.py
"""

import jax
import jax.numpy as jnp
import jax2onnx
import numpy as np
import optax

import onnx_n2n
from onnx_n2n import export

STEPS, BATCH = 200, 128
optimizer = optax.adamw(2e-3)


def batches(seed):
    """Ten patterns, each under noise."""
    patterns, chance = np.random.default_rng(0).standard_normal((10, 64)), np.random.default_rng(1 + seed)
    for step in range(STEPS):
        labels = chance.integers(0, 10, BATCH)
        yield step, (patterns[labels] + 2 * chance.standard_normal((BATCH, 64))).astype(np.float32), labels


def train(apply, params, seed):
    @jax.jit
    def update(params, state, images, labels):
        def loss(params):
            return optax.softmax_cross_entropy_with_integer_labels(apply(params, images), labels).mean()

        value, gradients = jax.value_and_grad(loss)(params)
        changes, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, changes), state, value

    state = optimizer.init(params)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    for step, images, labels in batches(seed):
        params, state, loss = update(params, state, images, labels)
        if step in (0, STEPS - 1):
            print(f"{size} parameters, step {step:3}: loss {loss:.3f}", flush=True)
    return params


def net(params, x):
    return jax.nn.relu(x @ params["v"] + params["a"]) @ params["w"] + params["b"]


v, w = (jax.random.normal(jax.random.key(n), shape) / 8 for n, shape in enumerate(((64, 32), (32, 10))))
params = train(net, {"v": v, "a": jnp.zeros(32), "w": w, "b": jnp.zeros(10)}, seed=0)

model = jax2onnx.to_onnx(lambda x: net(params, x), [jax.ShapeDtypeStruct(("B", 64), np.float32)])
wider = onnx_n2n.widen(model, 2).model
apply, wider_params, state = export.to_jax(wider)
x, y = wider.graph.input[0].name, wider.graph.output[0].name


def wider_net(params, images):
    return apply(params, state, {x: images})[0][y]


_, images, _ = next(batches(seed=1))
difference = jnp.abs(wider_net(wider_params, images) - net(params, images)).max()
print(f"largest difference between teacher and student: {difference:.1e}", flush=True)
train(wider_net, wider_params, seed=1)
