"""Depth as a class says it: how many layers there are, and what its lists say of each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from onnx_n2n.errors import GrowthError
from onnx_n2n.huggingface.configs import attempted, changed, flat, whole
from onnx_n2n.huggingface.network import Network, built


@dataclass(frozen=True)
class Stack:
    """Layers of a class, one behind the other.

    Attributes:
        field: The field of the config that says how many.
        lists: Fields that have to say something of each.
        free: Fields that may: the class works out what they do not say, and perhaps by the numbers of layers.
        paths: The modules that hold them: names of their tensors begin so, and a number follows.
        length: How many there are.
    """

    field: str
    lists: tuple[str, ...]
    free: tuple[str, ...]
    paths: tuple[str, ...]
    length: int


def stacks(network: Network, shown: Set[str]) -> list[Stack]:
    """Return the stacks of layers that a class can make deeper; each is one for all fields that say the same.

    Args:
        network: The class.
        shown: The first names of the tensors that an output shows; layers that none shows are left as they are.
    """
    known = dict(flat(whole(network)))
    before = network.lengths
    found: list[Stack] = []
    for field, value in known.items():
        if not isinstance(value, int) or isinstance(value, bool) or value not in before.values():
            continue
        lists = tuple(path for path, each in known.items() if isinstance(each, list) and len(each) == value)
        if (longer := _longer(network, known, field, lists)) is None:
            continue
        also, made = longer
        paths = tuple(path for path, length in before.items() if made.lengths.get(path) == length + 1)
        if not paths or not set(network.shapes) < set(made.shapes) or any(each.paths == paths for each in found):
            continue
        if all(_shown(network, path, shown) for path in paths):
            now = dict(flat(whole(made)))
            free = tuple(path for path in lists if path not in also and len(now.get(path) or ()) == value + 1)
            found.append(Stack(field, also, free, paths, value))
    return found


def _shown(network: Network, path: str, shown: Set[str]) -> bool:
    """Say whether an output shows layers, or they have no tensors."""
    names = [network.one.get(name, name) for name in network.shapes if name.startswith(f"{path}.")]
    return not names or not shown.isdisjoint(names)


def _longer(
    network: Network, known: Mapping[str, Any], field: str, lists: tuple[str, ...]
) -> tuple[tuple[str, ...], Network] | None:
    """Return the class with one layer more, and the lists that have to follow; not those that only are as long."""

    def made(also: Sequence[str]) -> Network | None:
        return attempted(network, {field: known[field] + 1, **{path: [*known[path], known[path][-1]] for path in also}})

    if (bare := made(())) is not None:
        return (), bare
    if made(lists) is None:
        return None
    needed = tuple(each for each in lists if made([path for path in lists if path != each]) is None)
    found = made(needed)
    return None if found is None else (needed, found)


def order(length: int, count: int, every: int) -> list[int]:
    """Return for each layer of the deeper stack which one it is made of: a copy stands before its original.

    Args:
        length: How many layers there are.
        count: How many are added, spread evenly; 0 for one before every ``every``-th.
        every: See there.

    >>> order(4, 2, 1), order(2, 0, 1)
    ([0, 0, 1, 2, 2, 3], [0, 0, 1, 1])
    """
    copies = [0] * length
    if count:
        for number in range(count):
            copies[number * length // count % length] += 1
    else:
        for number in range(0, length, every):
            copies[number] = 1
    return [number for number, more in enumerate(copies) for _ in range(more + 1)]


@dataclass(frozen=True)
class Deeper:
    """A config with more layers.

    Attributes:
        fields: Its new fields.
        network: The class with it, without weights.
        sources: For each tensor of it the one of the old class that it is made of.
        added: For the tensors of the layers that are new, which of these each is in: 1, 2, ...
    """

    fields: Mapping[str, Any]
    network: Network
    sources: Mapping[str, str]
    added: Mapping[str, int]


def deeper(network: Network, count: int, every: int, shown: Set[str]) -> Deeper:
    """Return a config with more layers in each stack.

    Args:
        network: The class.
        count: See :func:`order`.
        every: See there.
        shown: The first names of the tensors that an output shows.

    Raises:
        GrowthError: The class has no layers of which there can be more and that an output shows, or what it says of
            layers goes by their numbers.
    """
    found = stacks(network, shown)
    name = network.kind.__name__
    if not found:
        raise GrowthError(f"no field of the config of {name} says how many layers there are that an output shows")
    known = dict(flat(whole(network)))
    fields: dict[str, Any] = {}
    orders: dict[str, list[int]] = {}
    for stack in found:
        layers = order(stack.length, count, every)
        fields[stack.field] = len(layers)
        fields |= {path: [known[path][layer] for layer in layers] for path in stack.lists}
        orders |= dict.fromkeys(stack.paths, layers)
    said = dict(flat(whole(network, fields)))
    for stack in found:
        lists = {path: [known[path][layer] for layer in orders[stack.paths[0]]] for path in stack.free}
        fields |= {path: value for path, value in lists.items() if said.get(path) != value}
    made = built(network.kind, changed(network.config, fields))
    check_alike(network, made, orders)
    sources, added = {}, {}
    new: dict[str, int] = {}
    for tensor in made.shapes:
        old, layer = _source(tensor, orders)
        if network.shapes.get(old) != made.shapes[tensor]:
            raise GrowthError(f"{tensor!r} of {name} with more layers is made of nothing that is there")
        sources[tensor] = old
        if layer:
            added[tensor] = new.setdefault(layer, len(new) + 1)
    return Deeper(fields, made, sources, added)


def check_alike(network: Network, made: Network, orders: Mapping[str, Sequence[int]]) -> None:
    """Make sure that a layer is of the kind that it is made of: a short example shows no window, for instance.

    Raises:
        GrowthError: It is not.
    """
    for path, layers in orders.items():
        for number, source in enumerate(layers):
            new, old = _kinds(made, f"{path}.{number}"), _kinds(network, f"{path}.{source}")
            for name in {**old, **new}:
                was, now = old.get(name), new.get(name)
                if was != now and (was, now) != (source, number):
                    raise GrowthError(
                        f"{name!r} of layer {number} in {path!r} would be {now!r}, and is {was!r} in layer {source}, "
                        "which it is made of: the class goes by the numbers of layers"
                    )


def _kinds(network: Network, path: str) -> dict[str, Any]:
    """Return what the modules of a layer have, without what may differ from layer to layer, as rates of dropout do."""
    return {name: value for name, value in network.values(path).items() if not isinstance(value, float)}


def _source(tensor: str, orders: Mapping[str, Sequence[int]]) -> tuple[str, str]:
    """Return the tensor that one of a deeper class is made of, and the path of its layer if that is a copy."""
    for path, layers in orders.items():
        if found := re.match(rf"{re.escape(path)}\.(\d+)\.", tensor):
            number = int(found[1])
            old = f"{path}.{layers[number]}.{tensor[found.end():]}"
            return old, f"{path}.{number}" if layers[number : number + 2] == [layers[number]] * 2 else ""
    return tensor, ""
