"""Train a network, make it wider, and train on, in Keras.

    pip install 'onnx-n2n[keras,cpu]' jax2onnx    # jax2onnx itself brings onnxruntime, the build for CPUs
    KERAS_BACKEND=jax python examples/keras_.py
"""

import keras
import numpy as np

import onnx_n2n
from onnx_n2n import export

STEPS, BATCH = 200, 128


def data(seed):
    """Ten patterns, each under noise."""
    patterns, chance = np.random.default_rng(0).standard_normal((10, 8, 8, 1)), np.random.default_rng(1 + seed)
    labels = chance.integers(0, 10, STEPS * BATCH)
    return (patterns[labels] + 2 * chance.standard_normal((len(labels), 8, 8, 1))).astype(np.float32), labels


def train(model, seed):
    images, labels = data(seed)
    model.compile(keras.optimizers.AdamW(2e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for stage in ("before", "after"):
        loss = model.evaluate(images[:1000], labels[:1000], verbose=0)
        print(f"{model.count_params()} parameters, {stage} training: loss {loss:.3f}", flush=True)
        if stage == "before":
            model.fit(images, labels, batch_size=BATCH, verbose=0)


model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(32, 5, padding="same", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(10),
    ]
)
train(model, seed=0)

model.export("net.onnx", format="onnx", verbose=False)
onnx_n2n.widen("net.onnx", 2, output="wider.onnx", force=True)
student = export.to_keras("wider.onnx")
images, _ = data(seed=1)
difference = np.abs(student.predict(images[:1000], verbose=0) - model.predict(images[:1000], verbose=0)).max()
print(f"largest difference between teacher and student: {difference:.1e}", flush=True)
train(student, seed=1)
