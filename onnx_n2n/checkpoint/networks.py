"""Which tensors of a document are the network that has grown, and which are copies of it: running means, best ones.

Names decide, up to what stands before them, as ``state_dict``, ``ema.module`` or ``model.`` do. The network is where
most names of the record are found. A copy carries its names, with its shapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from onnx_n2n.checkpoint.document import Path, dotted
from onnx_n2n.checkpoint.optimizer import BUFFERS
from onnx_n2n.checkpoint.parameters import plain
from onnx_n2n.errors import GrowthError
from onnx_n2n.record.provenance import unpacked
from onnx_n2n.record.record import Record

Shape = tuple[int, ...]
Shapes = Mapping[Path, Shape]
Place = tuple[Path, str]  # what stands before a name: a path, and the beginning of a text

USUAL = ("state_dict", "model_state_dict", "model", "module")  # where a training loop keeps the network
WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})  # PyTorch's, inside of names


@dataclass(frozen=True)
class NetworkTensors:
    """The tensors of a network in a document.

    Attributes:
        paths: The path of each, by its name.
        prefix: What its names begin with: those of a copy, where the network's do not; those of the network, where the
            record's do not.
        title: What to call it: its path, with dots.
    """

    paths: Mapping[str, Path]
    prefix: str
    title: str


def shapes_in(record: Record) -> dict[str, Shape]:
    """Return the shapes of the parameters that grow, by the names of the record, as far as it says them."""
    found: dict[str, Shape] = {}
    before = {each.teacher: each.before for step in record.steps[:1] for each in step.remade}
    for weight, shape in before.items():
        for origin in record.origins.get(weight, ()):
            if origin.layout.kind in {"channels", "part", "even"}:
                continue
            try:
                parts = unpacked(origin, np.broadcast_to(np.float32(0), shape))
            except GrowthError:
                continue
            found |= {name: part.shape for name, part in zip(origin.names, parts, strict=False)}
            found |= {origin.tied: parts[0].shape} if origin.tied and parts else {}
    return found


def network_in(record: Record, shapes: Shapes) -> tuple[NetworkTensors, list[NetworkTensors]]:
    """Return the network in a document, and its copies.

    Args:
        record: What became of its weights.
        shapes: The shape of each tensor, by its path; at least one.
    """
    place, core = _network_at(record, shapes)
    homes = {path[:-1] for path in core.values()} if place is not None else {_fallback(shapes)}
    home = _common(homes)
    paths = {dotted(path[len(home) :]): path for path in shapes if path[:-1] in homes}
    prefix = "" if place is None else _under(place[1], place[0], dotted(home))
    relative = {name.removeprefix(prefix): path for name, path in paths.items() if name.startswith(prefix)}
    core = core or relative
    own = set(core.values())
    others = {path: shape for path, shape in shapes.items() if path not in own}
    growing = {plain(name) for name in shapes_in(record)}
    need = [name for name in core if any(f".{each}".endswith(f".{name}") for each in growing)]
    copies = list(_copies(place, relative, need or [name for name in core if shapes[core[name]]], others, shapes))
    taken = {path for copy in copies for path in copy.paths.values()}
    copies = [
        NetworkTensors({f"{prefix}{name}": path for name, path in copy.paths.items()}, copy.prefix, copy.title)
        for copy in copies
    ]
    return NetworkTensors(
        {name: path for name, path in paths.items() if path not in taken}, prefix, dotted(home)
    ), copies


def _network_at(record: Record, shapes: Shapes) -> tuple[Place | None, dict[str, Path]]:
    """Return what stands before the names of the network, and the tensors that the record knows, by name."""
    names = {name for found in record.origins.values() for each in found for name in (*each.names, each.tied)} - {""}
    known = {plain(name): shape for name, shape in shapes_in(record).items()}
    strips = Counter(head for name in map(plain, names) for head, _ in _splits(name))
    wanted: dict[str, list[tuple[str, str]]] = {}
    for name in map(plain, names):
        for head, rest in _splits(name):
            if not head or 2 * strips[head] >= len(names):
                wanted.setdefault(rest, []).append((head, name))
    found: dict[tuple[Place, str], dict[str, Path]] = {}
    for path, shape in shapes.items():
        for place, rest in _places(path):
            for head, name in wanted.get(rest, ()):
                if known.get(name, shape) == shape:
                    found.setdefault((place, head), {})[rest] = path
    if not found:
        return None, {}

    def rank(each: tuple[Place, str]) -> tuple[int, bool, int]:
        last = each[0][1].rstrip(".").rpartition(".")[2]
        return -len(found[each]), bool(each[1]), USUAL.index(last) if last in USUAL else len(USUAL)

    best = min(found, key=rank)
    return best[0], found[best]


def _fallback(shapes: Shapes) -> Path:
    """Return where the network is if no name says it: under a usual key, or where most tensors are."""
    homes = Counter(path[:-1] for path in shapes)
    usual = (home for key in USUAL for home in homes if home and home[-1] == key)
    return next(usual, max(homes, key=lambda home: homes[home]))


def _copies(
    own: Place | None, network: Mapping[str, Path], growing: Iterable[str], others: Shapes, shapes: Shapes
) -> Iterator[NetworkTensors]:
    """Yield what carries the names and shapes of a network, by its names."""
    spelt = {_spelt(name): name for name in network}
    need = {_spelt(name) for name in growing if not name.endswith(BUFFERS)}
    nested = any("." in name for name in spelt)
    found: dict[Place, dict[str, Path]] = {}
    for path in others:
        for place, rest in _places(path):
            whole = nested or not place[1] or place[1] == f"{dotted(path[len(place[0]) : -1])}."
            if _spelt(rest) in spelt and whole and place != own:
                found.setdefault(place, {})[_spelt(rest)] = path
    taken: set[Path] = set()
    for place, members in sorted(found.items(), key=lambda each: (-len(each[1]), -len(each[0][1]))):
        members = {name: path for name, path in members.items() if path not in taken}
        fitting = all(others[path] == shapes[network[spelt[name]]] for name, path in members.items())
        strange = [p for p in others if others[p] and _rest(p, place) is not None and p not in members.values()]
        shared = members.keys() & need
        complete = need <= members.keys() or (not strange and len(shared) > 1 and 2 * len(shared) >= len(need))
        within = bool(place[1]) and any(_rest(path, place) is not None for path in shapes.keys() - others.keys())
        if members and fitting and complete and not within:  # in a module of the network there is no copy of the whole
            taken.update(members.values())
            path = next(iter(members.values()))
            inside = _under(place[1], place[0], dotted(path[:-1]))
            title = dotted((*place[0], place[1].rstrip("."))) if place[1] else dotted(place[0])
            yield NetworkTensors({spelt[name]: path for name, path in members.items()}, inside, title)


def _under(text: str, base: Path, home: str) -> str:
    """Return the part of a text behind a base that is in the names at a home, and not in the path to it."""
    whole = f"{dotted(base)}.{text}" if base else text
    return whole[len(home) + 1 :] if home else whole


def _places(path: Path) -> Iterator[tuple[Place, str]]:
    """Yield all that may be a name at the end of a path, with what stands before it."""
    start = max((at + 1 for at, key in enumerate(path) if not isinstance(key, str)), default=0)
    for head, rest in _splits(plain(dotted(path[start:]))):
        yield (path[:start], head), rest


def _rest(path: Path, place: Place) -> str | None:
    """Return what stands behind a place in a path, or None."""
    start = max((at + 1 for at, key in enumerate(path) if not isinstance(key, str)), default=0)
    text = plain(dotted(path[start:]))
    return text.removeprefix(place[1]) if path[:start] == place[0] and text.startswith(place[1]) else None


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Yield a name in two at each dot: what stands before, with the dot, and the rest."""
    parts = name.split(".")
    for at in range(len(parts)):
        rest = ".".join(parts[at:])
        yield name.removesuffix(rest) if rest else name, rest


def _spelt(name: str) -> str:
    return ".".join(part for part in plain(name).split(".") if part not in WRAPPERS)


def _common(homes: Iterable[Path]) -> Path:
    """Return the longest path that all begin with."""
    found: list[object] = []
    for level in zip(*homes, strict=False):
        if len(set(level)) > 1:
            break
        found.append(level[0])
    return tuple(found)
