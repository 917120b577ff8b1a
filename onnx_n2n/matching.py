"""Bring the names in a growth record and those in a checkpoint together.

A record has the names that an exporter left. A checkpoint may have them behind a prefix, or without one: who exports a
wrapper, or trains with DistributedDataParallel or torch.compile, gets one. Where a name is missing, the user can give
it, or the teacher's own values say which parameter a weight is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from onnx_n2n.constants import FLOATS
from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.layouts import GATES, SAME, TRANSPOSED, Layout
from onnx_n2n.origins import LAYERS, NORMS, Origin, outputs
from onnx_n2n.record import Record

Arrays = Mapping[str, np.ndarray]
STATISTICS = tuple(NORMS["BatchNormalization"].values())
CLOSE = 1e-4  # of the largest number: folding was done in float32
LEAST = 8  # numbers that are not the same by chance


def matched(
    record: Record, arrays: Arrays, *, given: Mapping[str, str] | None = None, teacher: ir.Model | None = None
) -> Record:
    """Return a record that names parameters as a checkpoint does.

    Args:
        record: What became of the weights.
        arrays: The parameters of the checkpoint, by name.
        given: For weights of the teacher the parameter that each one is, as ``name`` or ``name:layout``. Those of
            layers that were added are left to :func:`onnx_n2n.insertion.insert`.
        teacher: The model that was exported from this very checkpoint: what is equal is the same.

    Raises:
        OptionError: If a layout that was given is none.
        GrowthError: If a weight or a parameter that was given does not exist.
    """
    found = _without_prefix(record.origins, arrays)
    if teacher is not None:
        found = _by_content(found, arrays, teacher)
    added = {new.student for step in record.steps for new in step.new}
    for weight, text in (given or {}).items():
        if weight in added:
            continue
        found[weight] = (_given(record, arrays, weight, text),)
    return replace(record, origins=found)


Origins = dict[str, tuple[Origin, ...]]


def _given(record: Record, arrays: Arrays, weight: str, text: str) -> Origin:
    """Read what a user says that a weight is."""
    name, _, layout = text.partition(":")
    if name not in arrays:
        raise GrowthError(f"there is no {name!r} in the checkpoint, which {weight!r} is said to be")
    if weight not in record.origins and all(each.teacher != weight for step in record.steps for each in step.remade):
        raise GrowthError(f"there is no weight {weight!r} that the record knows, which is said to be {name!r}")
    if layout not in {"", "same", "transposed"}:
        raise OptionError(f"a layout is 'same' or 'transposed', not {layout!r}")
    return Origin((name,), TRANSPOSED if layout == "transposed" else SAME, "", "user")


# Prefixes -------------------------------------------------------------------------------------------------------------


def _without_prefix(origins: Mapping[str, Sequence[Origin]], arrays: Arrays) -> Origins:
    """Take away, or add, the prefix that makes most names the same."""
    names = {name for entries in origins.values() for origin in entries for name in (*origin.names, origin.tied)} - {""}
    more, less = _prefixes(names, arrays), _prefixes(arrays, names)
    as_they_are = len(names & set(arrays))
    best = max([(count, prefix, True) for prefix, count in more.items()]
               + [(count, prefix, False) for prefix, count in less.items()], default=(0, "", True))  # fmt: skip
    if best[0] <= as_they_are:
        return {weight: tuple(entries) for weight, entries in origins.items()}
    _, prefix, longer = best

    def renamed(name: str) -> str:
        other = name.removeprefix(prefix) if longer else f"{prefix}{name}" if name else name
        return other if other in arrays or name not in arrays else name

    return {
        weight: tuple(
            replace(origin, names=tuple(map(renamed, origin.names)), tied=renamed(origin.tied)) for origin in entries
        )
        for weight, entries in origins.items()
    }


def _prefixes(longer: Sequence[str] | set[str] | Arrays, shorter: set[str] | Arrays) -> Counter[str]:
    """Count how many names become one of the shorter ones without a prefix, by prefix."""
    found: Counter[str] = Counter()
    for name in longer:
        parts = name.split(".")
        found.update(
            name.removesuffix(rest) for at in range(1, len(parts)) if (rest := ".".join(parts[at:])) in shorter
        )
    return found


# Content --------------------------------------------------------------------------------------------------------------


def _by_content(origins: Origins, arrays: Arrays, teacher: ir.Model) -> Origins:
    """Find the parameters of weights whose names say nothing, by their values."""
    found = dict(origins)
    content = _Content(arrays)
    for value in teacher.graph.initializers.values():
        entries = found.get(str(value.name), ())
        if value.const_value is None or value.const_value.dtype not in FLOATS or _known(entries, arrays):
            continue
        match = content.of(value.const_value.numpy()) or content.part(value.const_value.numpy())
        if match is not None:
            names, layout = match
            # A parameter of a known name that the checkpoint has under another one only was tied to that.
            tied = entries[0].names[0] if entries and entries[0].source != "name" and len(names) == 1 else ""
            node = next((str(use.node.name) for use in value.uses()), "")
            found[str(value.name)] = (Origin(names, layout, node, "content", tied),)
    for node in teacher.graph:
        for weight, entries in _folded(found, content, node):
            found[weight] = (*found.get(weight, ()), *entries)
    return found


def _known(entries: Sequence[Origin], arrays: Arrays) -> bool:
    return any(origin.names and set(origin.names) <= arrays.keys() for origin in entries)


def _folded(origins: Origins, content: _Content, node: ir.Node) -> Iterator[tuple[str, Sequence[Origin]]]:
    """Yield what weight and bias of a layer hold, if a norm was folded into it."""
    if node.op_type not in LAYERS or len(node.inputs) < 3:
        return
    weight, bias = node.inputs[1:3]
    if weight is None or bias is None or weight.const_value is None or bias.const_value is None:
        return
    if _known(origins.get(str(bias.name), ()), content.arrays):
        return
    axis = outputs(node)
    named = [name for origin in origins.get(str(weight.name), ()) for name in origin.names if name in content.arrays]
    found = content.folded(weight.const_value.numpy(), bias.const_value.numpy(), axis, named)
    if found is None:
        return
    layer, norm = found
    own = [] if named else [Origin((layer,), SAME, str(node.name), "content")]
    for value, along in ((weight, axis), (bias, 0)):
        layout = Layout("channels", str(along))
        parts = [Origin((f"{norm}.{role}",), layout, str(node.name), "content") for role in STATISTICS]
        yield str(value.name), [*(own if value is weight else []), *parts]
    if (bias_name := f"{layer.rpartition('.')[0]}.bias") in content.arrays:
        yield str(bias.name), [Origin((bias_name,), SAME, str(node.name), "content")]


class _Content:
    """Parameters, by their values."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self._same: dict[tuple[tuple[int, ...], bytes], str] = {}
        for name, array in arrays.items():
            if not _even(array):  # many of these are equal
                self._same.setdefault((array.shape, _bytes(array)), name)

    def of(self, array: np.ndarray) -> tuple[tuple[str, ...], Layout] | None:
        """Return what a weight is made of, and how."""
        if _even(array):
            return None
        for layout in _layouts(array):
            names = [self._same.get((part.shape, _bytes(part))) for part in layout.unpack(array)]
            if all(name is not None for name in names):
                return tuple(map(str, names)), layout
        return None

    def part(self, array: np.ndarray) -> tuple[tuple[str, ...], Layout] | None:
        """Return the tensor of whose first places, or copies, a weight is made; nothing if several may be."""
        if _even(array) or array.size < LEAST:
            return None
        found = [name for name, whole in self.arrays.items() if _contains(whole, array)]
        return ((found[0],), Layout("part")) if len(found) == 1 else None

    def folded(
        self, weight: np.ndarray, bias: np.ndarray, axis: int, named: Sequence[str]
    ) -> tuple[str, str] | None:
        """Return the layer's weight and the norm that make up a weight and a bias; nothing if several may."""
        layers = [name for name in named or self.arrays if self.arrays[name].shape == weight.shape]
        found = [
            (name, norm)
            for name in layers
            if (ratio := _ratio(weight, self.arrays[name], axis)) is not None
            for norm in self._norms(ratio, bias, self.arrays.get(f"{name.rpartition('.')[0]}.bias"))
        ]
        return found[0] if len(found) == 1 else None

    def _norms(self, ratio: np.ndarray, bias: np.ndarray, before: np.ndarray | None) -> Iterator[str]:
        """Yield the norms that multiply channels by a ratio, and leave a bias."""
        for name, mean in self.arrays.items():
            norm = name.removesuffix(".running_mean")
            if norm == name or mean.shape != ratio.shape:
                continue
            scale, shift, _, variance = (self.arrays.get(f"{norm}.{role}") for role in STATISTICS)
            if scale is None or shift is None or variance is None:
                continue
            epsilon = max(float(np.median(np.square(scale / ratio) - variance)), 0.0)
            factor = scale / np.sqrt(variance + epsilon)
            offset = shift - mean * factor + (0 if before is None else before * factor)
            if _close(factor, ratio) and _close(offset, bias):
                yield norm


def _ratio(weight: np.ndarray, layer: np.ndarray, axis: int) -> np.ndarray | None:
    """Return by what each channel of a layer's weight was multiplied; None if that is not one number."""
    ours, theirs = (np.moveaxis(each, axis, 0).reshape(each.shape[axis], -1) for each in (weight, layer))
    square = np.square(theirs, dtype=np.float64).sum(1)
    if not square.all():
        return None
    ratio: np.ndarray = (ours * theirs).sum(1, dtype=np.float64) / square
    return ratio if ratio.all() and _close(theirs * ratio[:, None], ours) else None


def _close(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.abs(found - wanted).max() <= CLOSE * np.abs(wanted).max())


def _contains(whole: np.ndarray, part: np.ndarray) -> bool:
    """Say whether a weight is made of the first places, or of copies, of a tensor that has as many last places."""
    if not 0 < whole.ndim <= part.ndim or whole.shape[-1] != part.shape[-1]:
        return False
    lengths = part.shape[part.ndim - whole.ndim :]
    if any(there not in {1, here} and there < here for there, here in zip(whole.shape, lengths, strict=True)):
        return False
    inside = whole[tuple(slice(length) for length in lengths)]
    return bool(np.all(part == inside))


def _layouts(array: np.ndarray) -> Iterator[Layout]:
    """Yield the layouts that a weight may have."""
    yield SAME
    if array.ndim == 2:
        yield TRANSPOSED
    if array.ndim in {2, 3} and array.shape[0] in {1, 2}:
        for cell, order in GATES.items():
            if array.shape[1] % (len(order) * (2 if array.ndim == 2 else 1)) == 0:
                yield Layout("gates" if array.ndim == 3 else "biases", cell)


def _even(array: np.ndarray) -> bool:
    return array.size < 2 or bool(np.all(array == array.flat[0]))


def _bytes(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, np.float32).tobytes()
