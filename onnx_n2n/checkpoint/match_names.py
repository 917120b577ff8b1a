"""Bring the names in a growth record and those in a checkpoint together.

A record has the names that an exporter left. A checkpoint may have them behind a prefix, or without one: who exports a
wrapper, or trains with DistributedDataParallel or torch.compile, gets one. Where a name is missing, the user can give
it, or the teacher's own values say which parameter a weight is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import onnx_ir as ir

from onnx_n2n.checkpoint.match_values import Origins, by_value
from onnx_n2n.checkpoint.parameters import Arrays, plain
from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.io.lazy import specs_of
from onnx_n2n.record.layouts import PERMUTED, SAME, TRANSPOSED, Layout, Permuted, permuted
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.record import Record, Remade
from onnx_n2n.record.steps import LAYER


def matched(
    record: Record, arrays: Arrays, *, given: Mapping[str, str] | None = None, teacher: ir.Model | None = None
) -> Record:
    """Return a record that names parameters as a checkpoint does.

    Args:
        record: What became of the weights.
        arrays: The parameters of the checkpoint, by name.
        given: For weights of the teacher the parameter that each one is, as ``name`` or ``name:layout``. Those of
            layers that were added are left to :func:`onnx_n2n.checkpoint.new_layers.insert`.
        teacher: The model that was exported from this very checkpoint: what is equal is the same.

    Raises:
        OptionError: If a layout that was given is none.
        GrowthError: If a weight or a parameter that was given does not exist, or has axes that are one in the weight,
            and how each of them grew is not known.
    """
    found = _without_prefix(record.origins, arrays)
    if teacher is not None:
        found = by_value(found, arrays, teacher, _grown_axes(record, teacher))
    added = {new.student for step in record.steps for new in step.new if new.kind != LAYER}
    for weight, text in (given or {}).items():
        if weight in added:
            continue
        found[weight] = (_given(record, arrays, weight, text),)
    return replace(record, origins={name: _settled(record, arrays, name, entries) for name, entries in found.items()})


def _grown_axes(record: Record, teacher: ir.Model) -> dict[str, set[int]]:
    """Return which axes grew, by the teacher's weight."""
    grown = dict.fromkeys(each.teacher for step in record.steps for each in step.remade)
    weights = [weight for weight in grown if weight in teacher.graph.initializers]
    return {
        weight: {
            axis
            for _, line in record.lines(weight)
            for remade in line
            for axis, index in enumerate(remade.recipe.index)
            if index is not None
        }
        for weight in weights
    }


def _given(record: Record, arrays: Arrays, weight: str, text: str) -> Origin:
    """Read what a user says that a weight is."""
    ends = [at for at, sign in enumerate(f"{text}:") if sign == ":"]  # a name may have colons of its own
    name, layout = next(((text[:at], text[at + 1 :]) for at in ends[::-1] if text[:at] in arrays), ("", ""))
    if not name:
        name = text.partition(":")[0]
        raise GrowthError(f"there is no {name!r} in the checkpoint, which {weight!r} is said to be")
    if weight not in record.origins and all(each.teacher != weight for step in record.steps for each in step.remade):
        raise GrowthError(f"there is no weight {weight!r} that the record knows, which is said to be {name!r}")
    return Origin((name,), _layout(layout, specs_of(arrays)[name].shape), "", "user")


def _layout(text: str, shape: Sequence[int]) -> Layout:
    """Read a layout that a user gives."""
    if text in {"", "same", "transposed"}:
        return TRANSPOSED if text == "transposed" else SAME
    layout = Permuted(text.removeprefix("permuted:"))
    if str(layout) != text or not PERMUTED.fullmatch(layout.notation):
        raise OptionError(f"a layout is 'same', 'transposed' or 'permuted:3201', not {text!r}")
    groups = layout.axes(0)
    if sorted(axis for group in groups for axis in group) != list(range(len(shape))):
        raise OptionError(f"{text!r} does not name each of the {len(shape)} axes of a parameter {list(shape)} once")
    return permuted(groups, shape)


# Axes that are one in the weight --------------------------------------------------------------------------------------


def _settled(record: Record, arrays: Arrays, weight: str, entries: Sequence[Origin]) -> tuple[Origin, ...]:
    """Return what a weight is made of, with the lengths that axes have grown to that are one in it."""
    return tuple(
        replace(origin, layout=_lengthened(record, arrays, weight, origin))
        if any(len(group) > 1 for group in origin.layout.joined) and origin.names[0] in arrays
        else origin
        for origin in entries
    )


def _lengthened(record: Record, arrays: Arrays, weight: str, origin: Origin) -> Layout:
    lengths = list(specs_of(arrays)[origin.names[0]].shape)
    groups = origin.layout.axes(0)
    if sum(map(len, groups)) != len(lengths):
        reason = f"{origin.names[0]!r} cannot be packed into the weight as {origin.layout}"
        raise GrowthError(reason, node=weight, shapes=str(lengths))
    for axis, group in enumerate(groups):
        before = tuple(lengths[each] for each in group)
        found = {_split(line, axis, before) for _, line in record.lines(weight)} if len(group) > 1 else {before}
        after = found.pop()
        if found or after is None:
            raise GrowthError(
                f"axes {' and '.join(map(str, group))} of {origin.names[0]!r} are one in the weight, and how much each "
                "of them grew is not known",
                node=weight,
                hint="`exclude=` what grew it, or export with these axes apart",
            )
        for each, length in zip(group, after, strict=True):
            lengths[each] = length
    return permuted(groups, lengths)


def _split(line: Sequence[Remade], axis: int, lengths: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return what lengths several axes have grown to that are one; None if it was not each of them by itself."""
    for remade in line:
        if axis >= len(remade.before):
            return None
        index = remade.recipe.index[axis]
        if index is None:
            continue
        if index.max(initial=0) >= prod(lengths):
            return None
        places = np.unravel_index(index, lengths)
        found = [after for after in _factors(len(index), lengths) if _apart(places, after)]
        if len(found) != 1:
            return None
        lengths = found[0]
    return lengths


def _factors(length: int, least: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the lengths, each at least so much, that several axes can have that are one of some length."""
    if len(least) == 1:
        if length >= least[0]:
            yield (length,)
        return
    for first in range(least[0], length + 1):
        if length % first == 0:
            yield from ((first, *rest) for rest in _factors(length // first, least[1:]))


def _apart(places: Sequence[np.ndarray], lengths: tuple[int, ...]) -> bool:
    """Say whether each place depends on its own axis only, where the axes have some lengths."""
    grids = (np.moveaxis(place.reshape(lengths), axis, 0) for axis, place in enumerate(places))
    return all(bool(np.all(grid.reshape(len(grid), -1) == grid.reshape(len(grid), -1)[:, :1])) for grid in grids)


# Prefixes -------------------------------------------------------------------------------------------------------------


def _without_prefix(origins: Mapping[str, Sequence[Origin]], arrays: Arrays) -> Origins:
    """Take away, or add, the prefix that makes most names the same, whatever stands between their parts."""
    names = {name for entries in origins.values() for origin in entries for name in (*origin.names, origin.tied)} - {""}
    spelt = Counter(map(plain, arrays))
    actual = {plain(name): name for name in arrays if spelt[plain(name)] == 1}
    wanted = {plain(name) for name in names}
    more, less = _prefixes(wanted, actual), _prefixes(actual, wanted)
    as_they_are = len(wanted & set(actual))
    best = max([(count, prefix, True) for prefix, count in more.items()]
               + [(count, prefix, False) for prefix, count in less.items()], default=(0, "", True))  # fmt: skip
    _, prefix, longer = best if best[0] > as_they_are else (0, "", True)

    def renamed(name: str) -> str:
        if not name or (name in arrays and not prefix):
            return name
        own = plain(name)
        other = own.removeprefix(prefix) if longer else f"{prefix}{own}"
        spelt_out = name.removeprefix(prefix) if longer else f"{prefix}{name}"  # a tied name may be missing there
        return actual.get(other) or (name if name in arrays else actual.get(own, spelt_out))

    return {
        weight: tuple(
            replace(origin, names=tuple(map(renamed, origin.names)), tied=renamed(origin.tied)) for origin in entries
        )
        for weight, entries in origins.items()
    }


def _prefixes(longer: Collection[str], shorter: Collection[str]) -> Counter[str]:
    """Count how many names become one of the shorter ones without a prefix, by prefix."""
    found: Counter[str] = Counter()
    for name in longer:
        parts = name.split(".")
        found.update(
            name.removesuffix(rest) for at in range(1, len(parts)) if (rest := ".".join(parts[at:])) in shorter
        )
    return found
