"""The Keras layer that runs a program in JAX: as it is on Keras's JAX backend, within TensorFlow's graph on that one.

``keras.layers.JaxLayer`` does nearly this. But it names no variable, brings all floats to one type, takes equal free
lengths of two inputs for different ones, on TensorFlow drops the same in every step, and is saved without its function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import jax
import keras
import numpy as np
from keras import ops

from onnx_n2n.errors import ExportError
from onnx_n2n.export.jax import function_of
from onnx_n2n.export.keras.plan import LayerPlan, Slot, read, written
from onnx_n2n.verification.runtime import first_line


@keras.saving.register_keras_serializable(package="onnx_n2n")
class Network(keras.layers.Layer):
    """A model of ONNX. It computes in the types of the file, whatever ``keras.mixed_precision`` says.

    Called with one tensor or several, in the order of the graph or by name, it returns one tensor, or several by name.
    In training, BatchNormalization normalises by the batch and moves its statistics, and Dropout drops, as long as the
    layer is ``trainable``: frozen, it runs as in inference.

    Args:
        plan: What is computed.
        options: What every layer takes, such as ``name`` and ``trainable``.

    Raises:
        ExportError: A step asks for what its function does not know.
    """

    def __init__(self, plan: LayerPlan, **options: Any) -> None:
        super().__init__(autocast=False, **options)
        tensors = plan.program.tensors
        variables = {
            name: self.add_weight(
                name=name,
                shape=tensor.array.shape,
                dtype=kind_of(tensor.array.dtype),
                initializer=_given(tensor.array),
                trainable=tensor.trained,
                autocast=False,
            )
            for name, tensor in tensors.items()
        }
        empty = {
            name: replace(tensor, array=np.broadcast_to(np.zeros((), tensor.array.dtype), tensor.array.shape))
            for name, tensor in tensors.items()
        }
        self.plan = replace(plan, program=replace(plan.program, tensors=empty))
        self._variables_by_name = MappingProxyType(variables)  # Keras would track a dict once more
        self._run = function_of(self.plan.program)
        self._on_tensorflow: Any = None
        drops = any(step.operator == "Dropout" for step in plan.program.main.walk())
        self.seed_generator = keras.random.SeedGenerator() if drops else None
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Run it."""
        train = bool(training) and self.trainable
        seed = ops.cast(self.seed_generator.next(), "uint32") if train and self.seed_generator else None
        tensors = {name: variable.value for name, variable in self._variables_by_name.items()}
        run = self._in_graph if keras.backend.backend() == "tensorflow" else self._run
        outputs, state = run(tensors, self._in_order(inputs), seed, train)
        if train:
            for name, value in state.items():
                self._variables_by_name[name].assign(value)
        return outputs[0] if len(outputs) == 1 else dict(zip(names_of(self.plan.outputs), outputs, strict=True))

    def compute_output_spec(self, inputs: Any, training: bool = False) -> Any:
        """Return the types and shapes that the file declares, without running anything."""
        if any(slot.shape is None for slot in self.plan.outputs):
            return super().compute_output_spec(inputs, training=training)
        specs = [keras.KerasTensor(free(slot), kind_of(slot.dtype)) for slot in self.plan.outputs]
        return specs[0] if len(specs) == 1 else dict(zip(names_of(self.plan.outputs), specs, strict=True))

    def get_config(self) -> dict[str, Any]:
        """Return the program and the options."""
        config: dict[str, Any] = super().get_config()
        return config | {"plan": written(self.plan)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Network:
        """Make a layer of a config. All weights are zero, until somebody loads them."""
        return cls(**config | {"plan": read(config["plan"])})

    def save_own_variables(self, store: Any) -> None:
        """Write the weights, by name."""
        for name, variable in self._variables_by_name.items():
            store[name] = variable

    def load_own_variables(self, store: Any) -> None:
        """Read the weights, by name."""
        wanted, found = self._variables_by_name.keys(), set(store.keys())
        reasons = {
            "missing": wanted - found,
            "unexpected": found - wanted,
            "of another shape": {name for name in wanted & found if tuple(store[name].shape) != self._shape(name)},
        }
        said = [f"{what}: {', '.join(sorted(names)[:5])}" for what, names in reasons.items() if names]
        if said:
            raise ValueError(f"the weights in the file are not those of the layer ({'; '.join(said)})")
        for name, variable in self._variables_by_name.items():
            variable.assign(store[name])

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._variables_by_name[name].shape)

    def _in_order(self, inputs: Any) -> list[Any]:
        names = names_of(self.plan.inputs)
        if isinstance(inputs, Mapping):
            return [inputs[name] for name in names]
        return list(inputs) if isinstance(inputs, list | tuple) else [inputs]

    def _in_graph(self, tensors: Any, inputs: Any, seed: Any, train: bool) -> tuple[list[Any], dict[str, Any]]:
        """Run it in TensorFlow, which traces it once for lengths that it does not know, or for every length."""
        import tensorflow as tf

        if self._on_tensorflow is None:
            self._on_tensorflow = tf.function(self._converted, autograph=False)
        found: tuple[list[Any], dict[str, Any]] = self._on_tensorflow(
            {name: tf.convert_to_tensor(value) for name, value in tensors.items()}, inputs, seed, train
        )
        return found

    def _converted(self, tensors: Any, inputs: list[Any], seed: Any, train: bool) -> Any:
        from jax.experimental import jax2tf

        slots = self.plan.inputs
        shapes = [letters(slot, value.shape) for slot, value in zip(slots, inputs, strict=True)]
        traced = jax2tf.convert(
            lambda tensors, inputs, seed: self._run(tensors, inputs, seed, train),
            polymorphic_shapes=[None, shapes, None],
        )
        try:
            return traced(tensors, inputs, seed)
        except Exception as failure:  # JAX raises anything where it has to know a length
            raise _untraceable(failure, free=any(None in value.shape for value in inputs)) from failure


def kind_of(dtype: Any) -> str:
    """Return the name of a type, in the width that JAX has now."""
    return str(jax.dtypes.canonicalize_dtype(np.dtype(dtype)).name)


def names_of(slots: Sequence[Slot]) -> list[str]:
    """Return the names of inputs or outputs as Keras takes them: ``input_ids`` for ``input/ids:0``, each once."""
    found: list[str] = []
    for slot in slots:
        wish = name = re.sub(r"\W+", "_", slot.name).strip("_") or "value"
        while name in found:
            name = f"{wish}_{len(found)}"
        found.append(name)
    return found


def free(slot: Slot) -> tuple[int | None, ...]:
    """Return a shape as Keras has it: None for every free length."""
    return tuple(length if isinstance(length, int) else None for length in slot.shape or ())


def letters(slot: Slot, shape: Sequence[int | None]) -> str:
    """Return a shape as ``jax2tf`` has it: ``(batch, 3, a, a)``. Equal names in the file are equal lengths."""
    declared = slot.shape or [None] * len(shape)
    found = []
    for axis, (length, name) in enumerate(zip(shape, declared, strict=True)):
        if length is not None:
            found.append(str(length))
        elif isinstance(name, str) and name:
            found.append("n_" + re.sub(r"\W", "_", name))
        else:
            found.append(f"{re.sub(r'[^0-9A-Za-z]', '_', 'x_' + slot.name)}_{axis}" if axis else "batch")
    return f"({', '.join(found)})"


def _given(array: np.ndarray) -> Any:
    return lambda _shape, dtype=None: ops.convert_to_tensor(np.asarray(array), dtype)


def _untraceable(failure: Exception, *, free: bool) -> ExportError:
    if free:
        return ExportError(
            f"a length would have to be known while TensorFlow traces: {first_line(failure)}",
            hint="Fix the shapes: compile(run_eagerly=True), or the JAX backend of Keras",
        )
    reason = failure.reason if isinstance(failure, ExportError) else first_line(failure)
    return ExportError(reason, hint="Such a model runs on the JAX backend of Keras, outside of fit, or in PyTorch")
