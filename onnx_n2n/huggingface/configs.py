"""What a class can say: which fields of its config are sizes that grow, and which sizes all tensors then have.

Nothing goes by the names of fields: a field is tried where its value is a size that grows, and the class says the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Axis, Factor, Product, leaves, resolve, size
from onnx_n2n.errors import GrowthError, ModelError, OptionError
from onnx_n2n.huggingface.network import Network, built, quiet
from onnx_n2n.huggingface.shown import unshown
from onnx_n2n.record.settings import Setting
from onnx_n2n.width.growth import Growth

Fields = Mapping[str, Any]
NOTHING: Fields = MappingProxyType({})
Shapes = Mapping[str, tuple[int, ...]]
MOST = 512  # combinations of fields that are tried


@dataclass(frozen=True)
class Candidate:
    """A config that a class can be built with.

    Attributes:
        fields: The new values of its fields, by path: ``text_config.hidden_size``.
        network: The class with it, without weights.
    """

    fields: Fields
    network: Network


def whole(network: Network, fields: Fields = NOTHING) -> dict[str, Any]:
    """Return a config with all that the class takes where it does not say it, as nested dictionaries.

    Args:
        network: The class, with the config.
        fields: Other values of some fields.
    """
    with quiet():
        found: dict[str, Any] = network.kind.config_class.from_dict(changed(network.config, fields)).to_dict()
    return found


def flat(config: Mapping[str, Any], stem: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all fields of a config by path, those of nested ones too."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{stem}{name}.")
        else:
            yield f"{stem}{name}", value


def changed(config: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    """Return a config with other values of some fields."""
    found = copy.deepcopy(dict(config))
    for path, value in fields.items():
        *stem, name = path.split(".")
        inner = found
        for each in stem:
            inner = inner.setdefault(each, {})
        inner[name] = value
    return found


@dataclass(frozen=True)
class Sizes:
    """The sizes that grow.

    Attributes:
        after: What each of them becomes; the first where several grow differently.
    """

    after: Mapping[int, int]

    def of(self, value: Any) -> Any:
        """Return what a value of a field becomes, or None where it is none of the sizes."""
        if isinstance(value, list) and value and all(_is_size(each) for each in value):
            found = [self.after.get(each, each) for each in value]
            return found if found != value else None
        return self.after.get(value) if _is_size(value) else None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def sizes(analysis: Analysis, growth: Growth) -> Sizes:
    """Return the sizes that grow: of groups, and of what several of them make together, as heads and their size do."""
    after: dict[int, int] = {}
    for value in analysis.model.graph.initializers.values():
        for axis in analysis.axes.get(value, ()):
            for part in _parts(resolve(axis)):
                before, now = size(part), growth.length(part)
                if before is not None and now != before:
                    after.setdefault(before, now)
    return Sizes(after)


def _parts(axis: Axis) -> Iterator[Axis]:
    """Yield an axis, those that it is made of, and what neighbours among these make together."""
    yield axis
    if isinstance(axis, Factor):
        return
    for part in axis.parts:
        yield from _parts(part)
    if isinstance(axis, Product):
        for start, end in combinations(range(len(axis.parts) + 1), 2):
            if 1 < end - start < len(axis.parts):
                yield Product(axis.parts[start:end])


def candidates(network: Network, grown: Sizes, given: Fields, shown: Set[str]) -> Iterator[Candidate]:
    """Yield the configs that make sizes grow: those in which most fields do first.

    Args:
        network: The network as it is.
        grown: The sizes that grow.
        given: Fields that a user has chosen.
        shown: The tensors that an output shows: what else there is stays.

    Raises:
        OptionError: There is no such field.
    """
    config = whole(network)
    known = dict(flat(config))
    for path in given:
        if path not in known and path not in dict(flat(network.config)):
            raise OptionError(f"the config has no field {path!r}", hint="fields are called as in config.json")
    tried = {path: new for path, value in known.items() if path not in given and (new := grown.of(value)) is not None}
    names = set(network.shapes)
    tried = {path: new for path, new in tried.items() if _harmless(network, {path: new}, shown)}
    for count, chosen in enumerate(_subsets(list(tried))):
        if count == MOST:
            return
        fields = {**{path: tried[path] for path in chosen}, **given}
        if (made := attempted(network, fields)) is not None and set(made.shapes) == names:
            yield Candidate(fields, made)


def _harmless(network: Network, fields: Fields, shown: Set[str]) -> bool:
    """Say whether with other values of fields there are as many layers, and what no output shows is as it was.

    Where the class cannot be built with these alone, they are harmless; so are tensors that others make go again.
    """
    made = attempted(network, fields)
    if made is None:
        return True
    return made.lengths == network.lengths and unshown(network, shown).items() <= unshown(made, shown).items()


def _subsets(paths: list[str]) -> Iterator[tuple[str, ...]]:
    for count in range(len(paths), -1, -1):
        yield from combinations(paths, count)


def attempted(network: Network, fields: Fields) -> Network | None:
    """Return a class with other values of some fields of its config, None where it cannot be built so."""
    try:
        return built(network.kind, changed(network.config, fields))
    except ModelError:  # as of a width that no number of heads divides
        return None


def silent(candidate: Candidate, network: Network) -> dict[str, bool]:
    """Return the fields that change no shape, and whether the class works numbers out of each, as the size of heads.

    A number that the class only stores says nothing of sizes: the id of a token, how many experts a token has.
    """
    found = {}
    for path, value in candidate.fields.items():
        less = {name: each for name, each in candidate.fields.items() if name != path}
        made = attempted(network, less)
        if made is not None and made.shapes == candidate.network.shapes:
            new, old = _numbers(candidate.network), _numbers(made)
            moved = {number for name, number in new.items() if old.get(name) != number}
            found[path] = bool(moved.difference(value if isinstance(value, list) else [value]))
    return found


def _numbers(network: Network) -> dict[str, float]:
    """Return the numbers that the modules of a network have of their own."""
    found = network.values().items()
    return {name: value for name, value in found if isinstance(value, int | float) and not isinstance(value, bool)}


def epsilons(network: Network, settings: Iterable[Setting], homes: Mapping[str, str]) -> dict[str, float]:
    """Return the fields that have to follow numbers of the graph which grew, as the epsilon of norms.

    A field follows only if it is the number of modules in whose code that number grew, and of no others.

    Args:
        network: The class.
        settings: What numbers of nodes became.
        homes: In whose code each node is, by its name: the path of the module.

    Raises:
        GrowthError: No field says one, or one field would have to say two numbers, or what something else goes by.
    """
    moved = [each for each in settings if each.before != each.after]
    found: dict[str, float] = {}
    followed: set[Setting] = set()
    for path, value in flat(whole(network)) if moved else ():
        alike = [each for each in moved if isinstance(value, float) and each.before == np.float32(value)]
        made = attempted(network, {path: alike[0].after}) if alike else None
        if made is None:
            continue
        before, after = network.values(), made.values()
        places = {name.rpartition(".")[0] for name in {**before, **after} if before.get(name) != after.get(name)}
        here = [each for each in alike if homes.get(each.node) in places]
        if not here:  # it has the same value by chance
            continue
        said = f"{path!r} of the config would have to be {here[0].after:g} for {homes[here[0].node]!r}"
        if other := next((each for each in here if each.after != here[0].after), None):
            raise GrowthError(f"{said}, and {other.after:g} for {homes[other.node]!r}")
        if others := sorted(places.difference(homes[each.node] for each in here)):
            raise GrowthError(f"{said}, and to stay {value:g} for {others[0]!r}")
        found[path] = here[0].after
        followed.update(here)
    for each in moved:
        if each not in followed:
            place = homes.get(each.node, each.node)
            raise GrowthError(f"{place!r} would need {each}, and no field of the config says that number")
    return found


def shapes_of(analysis: Analysis, growth: Growth) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights after a growth, by name."""
    found = {}
    for name, value in analysis.model.graph.initializers.items():
        if value.const_value is not None and value in analysis.axes:
            found[str(name)] = tuple(growth.length(axis) for axis in analysis.axes[value])
    return found


def fits(wanted: Shapes, found: Shapes) -> bool:
    """Say whether all weights of a graph have the shapes that a class has for them."""
    return all(wanted.get(name, shape) == shape for name, shape in found.items())


def growing(analysis: Analysis, wanted: Shapes) -> tuple[str, ...]:
    """Return the groups that a class lets grow: those of which no axis keeps its size in it."""
    held: set[Factor] = set()
    for name, value in analysis.model.graph.initializers.items():
        for axis, length in zip(analysis.axes.get(value, ()), wanted.get(str(name), ()), strict=False):
            if size(axis) == length:
                held.update(leaves(axis))
    return tuple(group.name for group in analysis.groups if group.factor not in held)
