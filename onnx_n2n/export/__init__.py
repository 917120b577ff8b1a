"""The way back to a training framework: PyTorch modules and JAX functions that compute what a model computes.

    module = onnx_n2n.export.to_torch("grown.onnx")      # an nn.Module, its parameters under their original names
    apply, params, state = onnx_n2n.export.to_jax("grown.onnx")

The frameworks are extras (``pip install 'onnx-n2n[torch]'``), and imported when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx_n2n.export.frameworks import missing
from onnx_n2n.model import ModelLike

if TYPE_CHECKING:
    from onnx_n2n.export.jax import Apply
    from onnx_n2n.export.torch import Network

__all__ = ["load", "to_jax", "to_torch"]


def to_torch(model: ModelLike) -> Network:
    """Turn a model into a trainable ``nn.Module``, in evaluation mode.

    ``forward`` takes the inputs in the order of the graph, or by name, and returns one tensor, or a tuple of several.

    Raises:
        ExportError: PyTorch is missing, or an operator has no counterpart in it.
        ModelError: The model cannot be read.
    """
    with missing("torch"):
        from onnx_n2n.export.torch import to_torch as convert
    return convert(model)


def to_jax(model: ModelLike) -> tuple[Apply, dict[str, Any], dict[str, Any]]:
    """Turn a model into a pure function and the trees that it takes.

    Returns:
        ``apply(params, state, inputs, *, train=False, rngs=None) -> (outputs, new_state)``, where ``inputs`` is a dict
        by name or a sequence and ``outputs`` a dict by name; the parameters, a nested dict by the parts of their
        original names; and the state, the same for what training does not touch by gradients.

    Raises:
        ExportError: JAX is missing, or an operator has no counterpart in it.
        ModelError: The model cannot be read.
    """
    with missing("jax"):
        from onnx_n2n.export.jax import to_jax as convert
    return convert(model)


def load(folder: Any) -> Network:
    """Open a folder that ``onnx-n2n export --to torch`` wrote, as a module with the weights that are in it now.

    Raises:
        ExportError: PyTorch or safetensors is missing, or the folder is not such a folder.
    """
    with missing("torch"):
        from onnx_n2n.export.folder import load_torch
    module: Network = load_torch(folder)
    return module
