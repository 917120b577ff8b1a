"""The way back to a training framework: PyTorch, JAX and Keras models that compute what a model computes.

    module = onnx_n2n.export.to_torch("grown.onnx")      # an nn.Module, its parameters under their original names
    apply, params, state = onnx_n2n.export.to_jax("grown.onnx")
    model = onnx_n2n.export.to_keras("grown.onnx")       # a keras.Model, on Keras's JAX or TensorFlow backend

The frameworks are extras (``pip install 'onnx-n2n[torch]'``), and imported when they are asked for.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from onnx_n2n.export.frameworks import missing
from onnx_n2n.io.model import ModelLike

if TYPE_CHECKING:
    import keras

    from onnx_n2n.export.jax import Apply
    from onnx_n2n.export.torch import Network

__all__ = ["load", "to_jax", "to_keras", "to_torch"]

if "keras" in sys.modules:  # keras.models.load_model knows only the layers that have been imported
    with contextlib.suppress(ImportError):
        import onnx_n2n.export.keras  # noqa: F401


def to_torch(model: ModelLike, *, freeze: Iterable[str] = (), train: Iterable[str] = ()) -> Network:
    """Turn a model into a trainable ``nn.Module``, in evaluation mode.

    ``forward`` takes the inputs in the order of the graph, or by name, and returns one tensor, or a tuple of several.

    Args:
        model: Stays as it is.
        freeze: Globs of names of tensors, in the file or in the framework, that stay as they are in training.
        train: Globs of those that are trained; they hold where both match. What neither names is decided as
            docs/export.md says.

    Raises:
        OptionError: A glob matches no tensor, or what cannot be trained.
        ExportError: PyTorch is missing, or an operator has no counterpart in it.
        ModelError: The model cannot be read.
    """
    with missing("torch"):
        from onnx_n2n.export.torch import to_torch as convert
    return convert(model, freeze=freeze, train=train)


def to_jax(
    model: ModelLike, *, freeze: Iterable[str] = (), train: Iterable[str] = ()
) -> tuple[Apply, dict[str, Any], dict[str, Any]]:
    """Turn a model into a pure function and the trees that it takes.

    Args:
        model: Stays as it is.
        freeze: Globs of names of tensors, in the file or in the framework, that stay as they are in training.
        train: Globs of those that are trained; they hold where both match. What neither names is decided as
            docs/export.md says.

    Returns:
        ``apply(params, state, inputs, *, train=False, rngs=None) -> (outputs, new_state)``, where ``inputs`` is a dict
        by name or a sequence and ``outputs`` a dict by name; the parameters, a nested dict by the parts of their
        original names; and the state, the same for what training does not touch by gradients.

    Raises:
        OptionError: A glob matches no tensor, or what cannot be trained.
        ExportError: JAX is missing, or an operator has no counterpart in it.
        ModelError: The model cannot be read.
    """
    with missing("jax"):
        from onnx_n2n.export.jax import to_jax as convert
    return convert(model, freeze=freeze, train=train)


def to_keras(model: ModelLike, *, freeze: Iterable[str] = (), train: Iterable[str] = ()) -> keras.Model:
    """Turn a model into a ``keras.Model`` of one layer, on Keras's JAX or TensorFlow backend.

    It takes the inputs in the order of the graph, or by name, and returns one tensor, or a dict of several by name.
    Weights are variables under their original names, statistics of BatchNormalization among the non-trainable ones.

    Args:
        model: Stays as it is.
        freeze: Globs of names of tensors, in the file or in the framework, that stay as they are in training.
        train: Globs of those that are trained; they hold where both match. What neither names is decided as
            docs/export.md says.

    Raises:
        OptionError: A glob matches no tensor, or what cannot be trained.
        ExportError: Keras or JAX is missing, Keras runs on another backend, or an operator has no counterpart in JAX.
        ModelError: The model cannot be read.
    """
    with missing("keras"):
        from onnx_n2n.export.keras import to_keras as convert
    return convert(model, freeze=freeze, train=train)


def load(path: Any) -> Any:
    """Open what ``onnx-n2n export`` wrote, with the weights that are in it now.

    Args:
        path: A folder of ``--to torch``, ``jax`` or ``keras``, or a ``.keras`` file that ``model.save`` wrote.

    Returns:
        An ``nn.Module``, what :func:`to_jax` returns, or a ``keras.Model``.

    Raises:
        ExportError: The framework or safetensors is missing, there is no such export, or the weights that are in it
            have other names or other shapes than its model wants.
    """
    from onnx_n2n.export.folder import LOADERS, framework_of

    to = framework_of(path)
    with missing(to):
        return LOADERS[to](path)
