"""Which tensors of a folder make which parameter of a class: by the class' own renamings and conversions."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from onnx_n2n.errors import ModelError
from onnx_n2n.huggingface.folder import Folder
from onnx_n2n.huggingface.network import Network, libraries, quiet
from onnx_n2n.io.tensorfile import DTYPES


@dataclass(frozen=True, eq=False)
class Made:
    """Parameters that the class makes of tensors on loading, as one tensor for all experts.

    Attributes:
        names: Their names.
        keys: Those of the tensors, by the pattern of the class that they are of.
        conversion: What makes them.
    """

    names: tuple[str, ...]
    keys: Mapping[str, tuple[str, ...]]
    conversion: Any

    def make(self, network: Network, folder: Folder) -> dict[str, np.ndarray]:
        """Return the parameters.

        Raises:
            ModelError: The class cannot make them.
        """
        conversion = copy.deepcopy(self.conversion)
        for pattern, keys in self.keys.items():
            for key in keys:
                conversion.add_tensor(self.names[0], key, pattern, to_torch(folder.array(key)))
        with quiet():
            found = conversion.convert(self.names[0], model=network.module, config=network.module.config)
        found = {name: value[0] if isinstance(value, list) else value for name, value in found.items()}
        if set(found) != set(self.names):
            raise ModelError(f"{network.kind.__name__} makes {sorted(found)} where it has {list(self.names)}")
        return {name: from_torch(value) for name, value in found.items()}


@dataclass(frozen=True, eq=False)
class Read:
    """How a class reads tensors.

    Attributes:
        plain: The key of the tensor, for each parameter or buffer that is one.
        made: Those that are made of tensors.
        unread: Keys of tensors that the class does not have.
        lacking: Names of what the class has, and no tensor is.
        double: Keys that are of a parameter which another one is as well, with that one.
    """

    plain: Mapping[str, str]
    made: tuple[Made, ...]
    unread: tuple[str, ...]
    lacking: tuple[str, ...]
    double: Mapping[str, str] = field(default_factory=dict)


def read(network: Network, keys: Iterable[str]) -> Read:
    """Say how a class reads tensors with these keys; names are the first of what is tied.

    Raises:
        ModelError: The class has a way of its own that we do not know.
    """
    libraries()
    core, mapping = (import_module(f"transformers.{each}") for each in ("core_model_loading", "conversion_mapping"))
    module, state = network.module, network.module.state_dict()
    transforms = mapping.get_model_conversion_mapping(module)
    renamings = [each for each in transforms if isinstance(each, core.WeightRenaming)]
    converters = [each for each in transforms if isinstance(each, core.WeightConverter)]
    by_pattern = {pattern: each for each in converters for pattern in each.source_patterns}
    plain: dict[str, str] = {}
    made: dict[str, tuple[Any, dict[str, list[str]]]] = {}
    unread, double = [], {}
    for key in sorted(keys, key=core.dot_natural_key):
        name, pattern = core.rename_source_key(key, renamings, converters, module.base_model_prefix, state)
        if name not in state and key in state:
            name, pattern = core.rename_source_key(
                key, [], [], base_model_prefix=module.base_model_prefix, meta_state_dict=state
            )
        if name not in state:
            unread.append(key)
        elif pattern is None:
            if (one := network.one.get(name, name)) in plain:
                double[key] = plain[one]
            plain.setdefault(one, key)
        else:
            made.setdefault(name, (by_pattern[pattern], {}))[1].setdefault(pattern, []).append(key)
    parts = tuple(
        Made(_targets(name, conversion), {pattern: tuple(each) for pattern, each in found.items()}, conversion)
        for name, (conversion, found) in made.items()
    )
    there = {*plain, *(network.one.get(name, name) for each in parts for name in each.names)}
    lacking = tuple(name for name in state if network.one.get(name, name) not in there)
    return Read(plain, parts, tuple(unread), lacking, double)


def _targets(name: str, conversion: Any) -> tuple[str, ...]:
    """Return the names of all that a conversion makes where it makes the one that is named."""
    first, *others = conversion.target_patterns
    return (name, *(name.replace(first, other, 1) for other in others))


def written(network: Network, made: Made, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors of which a class makes parameters, as it saves them: the keys are those of a saved folder."""
    core = import_module("transformers.core_model_loading")
    with quiet():
        found = core.revert_weight_conversion(network.module, {name: to_torch(arrays[name]) for name in made.names})
    return {key: from_torch(value) for key, value in found.items()}


def to_torch(array: np.ndarray) -> Any:
    """Return an array as a tensor of PyTorch's, of the same bits."""
    torch, _ = libraries()
    array = np.require(array, requirements=("C", "W")) if array.flags.writeable else array.copy()
    kind = _names(torch).get(np.dtype(array.dtype).name)
    if kind is None:
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(f"u{array.dtype.itemsize}")).view(kind)


def from_torch(tensor: Any) -> np.ndarray:
    """Return a tensor of PyTorch's as an array, of the same bits."""
    torch, _ = libraries()
    tensor = tensor.detach().cpu().contiguous()
    for name, kind in _names(torch).items():
        if tensor.dtype == kind:
            whole = tensor.view({1: torch.uint8, 2: torch.int16}[tensor.element_size()])
            return np.asarray(whole.numpy()).view(_dtype(name))
    return np.asarray(tensor.numpy())


def _names(torch: Any) -> dict[str, Any]:
    """Return the types that numpy does not know itself, by the names that it has for them."""
    return {"bfloat16": torch.bfloat16, "float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}


def _dtype(name: str) -> np.dtype:
    return next(np.dtype(each) for each in DTYPES.values() if np.dtype(each).name == name)


def unlike(folder: Folder, double: Mapping[str, str]) -> list[str]:
    """Return which keys of tied parameters hold other bytes than the other key of the same parameter."""
    return [key for key, other in double.items() if not np.array_equal(folder.bytes_of(key), folder.bytes_of(other))]
