"""The network that a config describes, built by its own class and without weights: all of its tensors are fakes."""

from __future__ import annotations

import copy
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from onnx_n2n.errors import ModelError
from onnx_n2n.words import brief

INSTALL = "pip install 'onnx-n2n[hf]'"
EXPERTS = "batched_mm"  # of what transformers offers for experts, the only one that is a plain product of tensors
USED = {"use_cache": False, "tie_encoder_decoder": None}
PLAIN = (bool, int, float, str, tuple, type(None))


def libraries() -> tuple[ModuleType, ModuleType]:
    """Return PyTorch and transformers.

    Raises:
        ModelError: They are not installed, or too old.
    """
    try:
        torch, transformers = import_module("torch"), import_module("transformers")
        import_module("transformers.core_model_loading")
        import_module("onnxscript")
    except ImportError as failure:
        reason = f"a Hugging Face folder needs PyTorch, transformers 5 and onnxscript: {failure}"
        raise ModelError(reason, hint=f"install them with {INSTALL}") from failure
    return torch, transformers


@dataclass(frozen=True, eq=False)
class Network:
    """A network without weights.

    Attributes:
        config: What its config.json says.
        module: Its class' module, whose parameters and buffers are fakes.
        mode: The mode in which they are.
    """

    config: Mapping[str, Any]
    module: Any
    mode: Any

    def __repr__(self) -> str:
        return f"<Network: {self.kind.__name__}, {len(self.shapes)} tensors>"

    @property
    def kind(self) -> Any:
        """Its class."""
        return type(self.module)

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of all that its state dict has, by name; of tied parameters under each name."""
        return {name: tuple(map(int, value.shape)) for name, value in self.module.state_dict().items()}

    @cached_property
    def one(self) -> Mapping[str, str]:
        """The first name of the parameter or buffer that a name is of: ties by identity."""
        first: dict[int, str] = {}
        found = {}
        for name, value in _tensors(self.module):
            found[name] = first.setdefault(id(value), name)
        return found

    @cached_property
    def lengths(self) -> Mapping[str, int]:
        """How many modules each list of modules has, by path: how many layers there are."""
        torch, _ = libraries()
        return {
            path: len(module)
            for path, module in self.module.named_modules()
            if isinstance(module, torch.nn.ModuleList)
        }

    def values(self, path: str = "") -> dict[str, Any]:
        """Return what a module, and those in it, have of their own beside tensors: plain values, and shapes of buffers.

        Args:
            path: The module; the names in what is returned begin behind it.
        """
        module = self.module.get_submodule(path)
        said = {
            f"{stem}.{name}".lstrip("."): value
            for stem, each in module.named_modules()
            for name, value in vars(each).items()
            if isinstance(value, PLAIN)
        }
        return said | {name: tuple(map(int, value.shape)) for name, value in module.named_buffers()}

    @cached_property
    def computed(self) -> tuple[str, ...]:
        """Names of the buffers that no file has, since the class computes them."""
        return tuple(name for name, _ in self.module.named_buffers(remove_duplicate=False) if name not in self.shapes)

    @cached_property
    def buffers(self) -> Mapping[str, np.ndarray]:
        """The values of those, as the class computes them: what is left empty for weights is not allocated.

        Raises:
            ModelError: One is left empty as well.
        """
        torch, _ = libraries()
        module = _made(self.kind, self.config, _Empty(torch))
        found = {name: value for name, value in module.named_buffers(remove_duplicate=False) if name in self.computed}
        for name, value in found.items():
            if value.device.type == "meta":
                raise ModelError(f"{type(module).__name__} does not say the values of its buffer {name!r}")
        return {name: value.detach().numpy() for name, value in found.items()}


def built(kind: Any, config: Mapping[str, Any]) -> Network:
    """Build the network of a class with a config.

    Raises:
        ModelError: The class cannot be built so.
    """
    fake = import_module("torch._subclasses.fake_tensor").FakeTensorMode()
    return Network(config, _made(kind, config, fake), fake)


def class_of(config: Mapping[str, Any], code: Path | None = None) -> Any:
    """Return the class that a config names.

    Args:
        config: What config.json says.
        code: A folder whose own code may be run; None if only classes of transformers will do.

    Raises:
        ModelError: It names none, or one that is not there.
    """
    _, transformers = libraries()
    names = config.get("architectures")
    if not (isinstance(names, list) and names and isinstance(names[0], str)):
        raise ModelError("config.json does not say of which class the model is: it has no 'architectures'")
    own = _brought(config, names[0])
    found = _run(own, code) if own and code is not None else getattr(transformers, names[0], None)
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        hint = f"its own code, {own!r}, is only run with `trust_remote_code=True`" if own else "a newer one may"
        raise ModelError(f"transformers {transformers.__version__} has no class {brief(repr(names[0]))}", hint=hint)
    return found


def _brought(config: Mapping[str, Any], name: str) -> str:
    """Return where the code is that a model brings for its class, by the config: ``modeling_toy.ToyModel``."""
    brought = config.get("auto_map")
    texts = (text for text in (brought.values() if isinstance(brought, Mapping) else ()) if isinstance(text, str))
    return next((text for text in texts if text.rpartition(".")[2] == name), "")


def _run(own: str, code: Path) -> Any:
    """Return a class whose code is in a folder, or by that in the hub's cache."""
    utilities = import_module("transformers.dynamic_module_utils")
    with quiet():
        try:
            return utilities.get_class_from_dynamic_module(own, os.fspath(code), local_files_only=True)
        except (Exception, SystemExit) as failure:  # of code that we do not know
            raise ModelError(f"the code {own!r} of {str(code)!r} does not run: {_said(failure)}") from failure


def _made(kind: Any, config: Mapping[str, Any], mode: Any) -> Any:
    torch, transformers = libraries()
    initialization = import_module("transformers.initialization")
    with quiet(), ExitStack() as stack:
        try:
            said = kind.config_class.from_dict(copy.deepcopy(dict(config)))
            for name, value in USED.items():
                if value is not None or hasattr(said, name):
                    setattr(said, name, value)
            said._attn_implementation = "eager"
            if kind._can_set_experts_implementation():
                said._experts_implementation = EXPERTS
            stack.enter_context(initialization.no_init_weights())
            stack.enter_context(mode)
            module = kind(said)
            module.tie_weights()
            return module.eval()
        except Exception as failure:  # of a class that we do not know
            raise ModelError(
                f"{kind.__name__} cannot be built from config.json: {_said(failure)}",
                hint=f"transformers here is {transformers.__version__}, PyTorch {torch.__version__}",
            ) from failure


def _said(failure: BaseException) -> str:
    return brief(str(failure), 300) or type(failure).__name__


def _tensors(module: Any) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep both libraries from printing on stdout, and from asking whether code of a model may run: it may not."""
    import logging

    before = logging.root.manager.disable
    utilities: Any = import_module("transformers.dynamic_module_utils")
    seconds, utilities.TIME_OUT_REMOTE_CODE = utilities.TIME_OUT_REMOTE_CODE, 0  # to answer in
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(before)
            utilities.TIME_OUT_REMOTE_CODE = seconds


def _Empty(torch: ModuleType) -> Any:  # noqa: N802 - a class, of a library that is there only now
    """Return a mode in which tensors that are left empty have no memory."""

    class Empty(torch.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if func is torch.empty:
                kwargs["device"] = "meta"
            return func(*args, **kwargs)

    return Empty()
