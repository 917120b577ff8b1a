"""The way back to a training framework: PyTorch, JAX and Keras models that compute what a model computes.

    module = onnx_n2n.export.to_torch("grown.onnx")      # an nn.Module, its parameters under their original names
    apply, params, state = onnx_n2n.export.to_jax("grown.onnx")
    model = onnx_n2n.export.to_keras("grown.onnx")       # a keras.Model, on Keras's JAX or TensorFlow backend

The frameworks are extras (``pip install 'onnx-n2n[torch]'``), and imported when they are asked for.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnx_n2n.errors import OptionError
from onnx_n2n.export.frameworks import Framework, missing
from onnx_n2n.io.atomic import STDOUT
from onnx_n2n.io.model import ModelLike
from onnx_n2n.options import taken
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.verification import TIME_LIMIT, read_inputs
from onnx_n2n.verification.options import Feeds

if TYPE_CHECKING:
    import keras

    from onnx_n2n.export.folder import Exported
    from onnx_n2n.export.jax import Apply
    from onnx_n2n.export.torch import Network

__all__ = ["load", "to_jax", "to_keras", "to_torch", "write"]

if "keras" in sys.modules:  # keras.models.load_model knows only the layers that have been imported
    with contextlib.suppress(ImportError):
        import onnx_n2n.export.keras  # noqa: F401


@taken("freeze", "train")
def to_torch(model: ModelLike, *, freeze: Iterable[str] = (), train: Iterable[str] = ()) -> Network:
    """Turn a model into a trainable ``nn.Module``, in evaluation mode.

    >>> module = onnx_n2n.export.to_torch("model.onnx")
    >>> sorted(module.state_dict())
    ['fc1.bias', 'fc1.weight', 'fc2.bias', 'fc2.weight']

    ``forward`` takes the inputs in the order of the graph, or by name, and returns one tensor, or a tuple of several.

    Args:
        model: Stays as it is.
        freeze: Globs of names of tensors, in the file or in the framework, that stay as they are in training.
        train: Globs of those that are trained; they hold where both match. What neither names is decided as
            docs/export.md says.

    Raises:
        OptionError: A glob matches no tensor, or what cannot be trained.
        ExportError: The framework is missing, or an operator has no counterpart in it.
        ModelError: The model cannot be read.
    """
    with missing("torch"):
        from onnx_n2n.export.torch import to_torch as convert
    return convert(model, freeze=freeze, train=train)


@taken("freeze", "train")
def to_jax(
    model: ModelLike, *, freeze: Iterable[str] = (), train: Iterable[str] = ()
) -> tuple[Apply, dict[str, Any], dict[str, Any]]:
    """Turn a model into a pure function and the trees that it takes.

    >>> apply, params, state = onnx_n2n.export.to_jax("model.onnx")
    >>> params["fc1"]["weight"].shape
    (8, 4)

    Arguments and errors are those of :func:`to_torch`.

    Returns:
        ``apply(params, state, inputs, *, train=False, rngs=None) -> (outputs, new_state)``, where ``inputs`` is a dict
        by name or a sequence and ``outputs`` a dict by name; the parameters, a nested dict by the parts of their
        original names; and the state, the same for what training does not touch by gradients.
    """
    with missing("jax"):
        from onnx_n2n.export.jax import to_jax as convert
    return convert(model, freeze=freeze, train=train)


@taken("freeze", "train")
def to_keras(model: ModelLike, *, freeze: Iterable[str] = (), train: Iterable[str] = ()) -> keras.Model:
    """Turn a model into a ``keras.Model`` of one layer, on Keras's JAX or TensorFlow backend.

    >>> model = onnx_n2n.export.to_keras("model.onnx")
    >>> model(np.zeros((1, 4), "float32")).shape
    (1, 3)

    It takes the inputs in the order of the graph, or by name, and returns one tensor, or a dict of several by name.
    Weights are variables under their original names, statistics of BatchNormalization among the non-trainable ones.

    Arguments and errors are those of :func:`to_torch`; another backend of Keras is an ``ExportError`` too.
    """
    with missing("keras"):
        from onnx_n2n.export.keras import to_keras as convert
    return convert(model, freeze=freeze, train=train)


@taken("folder", "to", "verify", "inputs", "shapes", "freeze", "train", "time_limit", "force")
def write(
    model: ModelLike,
    folder: str | os.PathLike[str],
    *,
    to: Framework,
    verify: bool = True,
    inputs: Feeds | str | os.PathLike[str] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    freeze: Iterable[str] = (),
    train: Iterable[str] = (),
    time_limit: float = TIME_LIMIT,
    force: bool = False,
    progress: Progress = unheard,
) -> Exported:
    """Carry a model to a framework, check what it computes there, and write a folder that :func:`load` opens.

    >>> onnx_n2n.export.write("model.onnx", "exported", to="safetensors")
    <Exported: 4 tensors for safetensors; not run>

    Args:
        model: Stays as it is.
        folder: Where to write.
        to: ``torch``, ``jax``, ``keras``, or ``safetensors`` for the weights only.
        verify: Whether to run the export beside ONNX Runtime before writing.
        inputs: Arrays by input name to verify with, or an npz file of them; drawn when not given.
        shapes: Shapes of inputs with free dimensions, for drawing.
        freeze: Globs of names of tensors, in the file or in the framework, that stay as they are in training.
        train: Globs of those that are trained; they hold where both match.
        time_limit: How many seconds one run in ONNX Runtime may take; infinity is no limit.
        force: Whether to overwrite an export that is there.
        progress: Is told each stage as it begins, as a text. A :class:`onnx_n2n.progress.Meter` is also told how many
            bytes and tensors are written.

    Raises:
        ExportError: The framework is missing, or has no counterpart of an operator. Nothing was written.
        OptionError: There is something at the folder already, or a glob matches no tensor, or what cannot be trained.
        VerificationError: The export computes something else. Nothing was written.
    """
    from onnx_n2n.export.folder import export

    if Path(folder) == STDOUT:
        raise OptionError("an export is a folder and cannot be written to stdout", hint="name one with `output=`")
    feed = read_inputs(Path(inputs)) if isinstance(inputs, str | os.PathLike) else inputs
    return export(
        model, to, folder, force=force, verify=verify, freeze=freeze, train=train, time_limit=time_limit, inputs=feed,
        shapes=dict(shapes or {}), progress=progress,
    )  # fmt: skip


@taken("path")
def load(path: str | os.PathLike[str]) -> Any:
    """Open what :func:`write` wrote, with the weights that are in it now.

    >>> onnx_n2n.export.write("model.onnx", "exported", to="torch")
    <Exported: 4 tensors for torch; agrees with ONNX Runtime, error ...>
    >>> module = onnx_n2n.export.load("exported")

    Args:
        path: A folder for ``torch``, ``jax`` or ``keras``, or a ``.keras`` file that ``model.save`` wrote.

    Returns:
        An ``nn.Module``, what :func:`to_jax` returns, or a ``keras.Model``.

    Raises:
        ExportError: The framework or safetensors is missing, there is no such export, or the weights that are in it
            have other names or other shapes than its model wants.
    """
    from onnx_n2n.export.loading import LOADERS, framework_of

    to = framework_of(path)
    with missing(to):
        return LOADERS[to](path)
