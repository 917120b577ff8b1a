"""Parameters that are one: what tells so, and what follows from it.

A network may use one parameter under several names, and a checkpoint may hold it once, or as often as it has names. A
class that ties names loads a checkpoint in which they differ without a word, and keeps one of them: so what is one
before must be one after, unless the user says that the code has two by now.

That two names are of one parameter is known by the memory that they share, by the exported network, which reads one of
them where the module has the other, or by their numbers: tensors of many numbers are equal by chance if all numbers are
the same, as in new biases, and hardly ever otherwise. Where the exporter's metadata say that a network reads both, each
as a parameter of its own, equal numbers mean nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import prod

import numpy as np

from onnx_n2n.checkpoint.making import Arrays, Plan, known, names, own, same, tied
from onnx_n2n.errors import GrowthError
from onnx_n2n.io.lazy import Lazy, Spec, specs_of, start_of
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.record import Record

LEAST = 8  # numbers that are not the same by chance
MEMORY, NUMBERS, NETWORK = "share their memory", "hold the same numbers", "are one parameter of the exported network"


@dataclass(frozen=True)
class TiedNames:
    """Two names of one parameter, and how that is known."""

    name: str
    other: str
    why: str


def shared(arrays: Arrays) -> dict[str, str]:
    """Return the parameters that share their memory with another one, by name, with the first of these."""
    if isinstance(arrays, Lazy):
        return dict(arrays.shared)
    first: dict[object, str] = {}
    found = {name: first.setdefault(_memory(array), name) for name, array in arrays.items()}
    return {name: other for name, other in found.items() if other != name and arrays[name].size}


def equal(arrays: Arrays, among: Collection[str]) -> dict[str, str]:
    """Return the parameters that hold the same numbers as another one, not all of them alike, with the first of these.

    Most are told apart by their first numbers, so that not all of a large checkpoint is read.

    Args:
        arrays: The parameters.
        among: Names of those that are compared.
    """
    kinds: dict[Spec, list[str]] = {}
    for name, spec in specs_of(arrays).items():
        if name in among and prod(spec.shape) >= LEAST and spec.dtype.kind not in "biu":
            kinds.setdefault(spec, []).append(name)
    found: dict[str, str] = {}
    for candidates in kinds.values():
        samples: dict[bytes, list[str]] = {}
        for name in candidates if len(candidates) > 1 else ():
            samples.setdefault(start_of(arrays, name).tobytes(), []).append(name)
        first: dict[bytes, str] = {}
        for name in (name for near in samples.values() if len(near) > 1 for name in near):
            array = arrays[name]
            if not np.all(array == array.flat[0]):
                other = first.setdefault(_digest(array), name)
                found |= {name: other} if other != name else {}
    return found


def confirmed(record: Record, arrays: Arrays, untie: Sequence[str]) -> Record:
    """Return a record without the ties that a checkpoint does not confirm.

    A tie that is guessed from a weight's name holds if the checkpoint has that name, or the user unties it. Two names
    that hold different numbers are two parameters, whatever the exported network reads. A name that the checkpoint
    lacks, and that several parameters may have, belongs to none of them.
    """
    claims: dict[str, set[str]] = {}
    for _, origin in known(record):
        if origin.tied and not (origin.names[0] in arrays and origin.tied in arrays):
            claims.setdefault(origin.tied, set()).add(origin.names[0])

    def holds(origin: Origin) -> bool:
        name, other = origin.names[0], origin.tied
        if name in arrays and other in arrays:
            return same(arrays[name], arrays[other])
        sure = origin.source != "name" or other in arrays or _any(other, untie)
        return sure and len(claims[other]) == 1

    def plain(origin: Origin) -> Origin:
        return origin if not origin.tied or holds(origin) else replace(origin, tied="")

    return replace(record, origins={weight: tuple(map(plain, found)) for weight, found in record.origins.items()})


def with_aliases(record: Record, arrays: Arrays, keep: Sequence[str]) -> tuple[Record, dict[str, str]]:
    """Return a record that knows the aliases in a checkpoint too, and for each alias the name that was known.

    An alias shares its memory with a parameter that the record knows, or holds the same numbers and is not to be kept
    as it is.
    """
    named = names(record)
    comparable = {name for name in arrays if name in named or not _any(name, keep)}
    twins = classes(arrays, shared(arrays), equal(arrays, comparable))
    aliases = {
        name: [other for other in twins[name] if other in named]
        for name in arrays
        if name not in named and not named.isdisjoint(twins[name])
    }
    if not aliases:
        return record, {}
    more: dict[str, tuple[Origin, ...]] = {}
    for weight, entries in record.origins.items():
        also = [
            replace(origin, names=tuple(alias if name == other else name for name in own(origin)), tied="")
            for alias, others in aliases.items()
            for other in others
            for origin in entries
            if other in own(origin)
        ]
        more[weight] = (*entries, *also)
    return replace(record, origins=more), {alias: others[0] for alias, others in aliases.items()}


def parted(record: Record, arrays: Arrays, untie: Sequence[str]) -> dict[str, str]:
    """Return the names that stop being tied, each with the name that it was tied to.

    A name that the user unties is among them even if both stay equal: the code has two parameters now.

    Raises:
        GrowthError: If there are some that the user does not say are untied.
    """
    plan = Plan.of(record, arrays)
    ties = list(_ties(record, arrays))
    told = [tie for tie in ties if _any(tie.name, untie) or _any(tie.other, untie)]
    apart = [tie for tie in ties if tie not in told and not plan.alike(tie.name, tie.other, arrays)]
    if apart:
        first, *rest = apart
        readers = [f"{name!r} is read by {', '.join(map(repr, plan.readers(name)[:4])) or 'no node'}"
                   for name in (first.other, first.name)]  # fmt: skip
        others = ", ".join(repr(tie.name) for tie in rest[:4])
        more = f" {len(rest)} more would part likewise: {others}." if rest else ""
        raise GrowthError(
            f"{first.other!r} and {first.name!r} {first.why}, and would become different: {'; '.join(readers)}."
            f"{more} Code that ties them would load both without an error, and keep one",
            hint="`exclude=` the group of channels that both have when the model is grown. If the network's own code "
            "does not tie them, or no longer will (in Hugging Face's configurations: tie_word_embeddings=False), pass "
            f"`untie=[{first.name!r}]`",
        )
    pairs = tied(record).items()
    lacking = {name: other for name, other in pairs if name not in arrays and other in arrays and _any(name, untie)}
    return lacking | {tie.name: tie.other for tie in told if tie.name in arrays and tie.other in arrays}


def _ties(record: Record, arrays: Arrays) -> Iterator[TiedNames]:
    """Yield which names are of one parameter, by what tells so most surely first."""
    seen: set[frozenset[str]] = set()
    apart, named = _distinct(record), names(record)
    order = {name: at for at, name in enumerate(arrays)}
    both = [(origin.names[0], origin.tied) for _, origin in known(record) if origin.tied]
    in_order = [sorted(pair, key=lambda name: order.get(name, len(order))) for pair in both]
    network = {name: other for other, name in in_order}
    numbers = equal(arrays, named)
    for why, pairs in ((NETWORK, network), (MEMORY, shared(arrays)), (NUMBERS, numbers)):
        for name, other in pairs.items():
            if (pair := frozenset((name, other))) in seen or (why == NUMBERS and {name, other} <= apart):
                continue
            seen.add(pair)
            yield TiedNames(name, other, why)


def _distinct(record: Record) -> set[str]:
    """Return what the exporter's metadata name as a parameter of its own."""
    told = {name for _, origin in known(record) if origin.source == "metadata" for name in own(origin)}
    return told - tied(record).keys()


def classes(names: Iterable[str], *pairs: Mapping[str, str]) -> dict[str, list[str]]:
    """Return for each parameter all others that pairs make one with it, in the order of the names."""
    group = {name: name for name in names}

    def first(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for each in pairs:
        for name, other in each.items():
            group[first(name)] = first(other)
    members: dict[str, list[str]] = {}
    for name in group:
        members.setdefault(first(name), []).append(name)
    return {name: [other for other in found if other != name] for found in members.values() for name in found}


def _any(name: str, globs: Collection[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _memory(array: np.ndarray) -> object:
    """Return what is equal for arrays that are one in memory; a transposed view is another one."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype


def _digest(array: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).digest()
