"""Sizes for the free dimensions of a graph's inputs: what the graph tells, then a ladder of likely ones."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

import onnx_ir as ir

from onnx_n2n.errors import InputError
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.passthrough import COPIES
from onnx_n2n.verification.roles import size_of

# A size, or a symbolic expression such as "past_length + 1". A dimension without a name is called "input:axis".
Dim = int | str

# Likely sizes first: networks halve images several times and cut sound into frames.
PIXELS = (64, 224, 32, 128, 256, 320, 416, 512, 640, 299, 384, 112, 96, 160, 28, 48, 16, 8, 4, 2, 1)
STEPS = (16, 64, 8, 32, 128, 100, 80, 256, 512, 576, 1024, 4, 2, 1, 4096, 16000)

LONGEST_EXPRESSION = 200

# Operators that read a number of channels which their weight tells: weight's slot and axis, axis of the data.
CHANNELS = {
    "BatchNormalization": (1, 0, 1),
    "Conv": (1, 1, 1),
    "ConvTranspose": (1, 0, 1),
    "GRU": (1, 2, 2),
    "LSTM": (1, 2, 2),
    "MatMul": (1, 0, -1),
    "RNN": (1, 2, 2),
}


def dims(value: ir.Value, chosen: tuple[int, ...] | None = None) -> tuple[Dim, ...]:
    """The dimensions of an input, free ones as symbols.

    Raises:
        InputError: The input declares no shape and nothing tells its rank, the chosen shape does not fit, or a
            convolution runs on no input whatever.
    """
    name = value.name or ""
    channels = _channels(value)
    if value.shape is None:
        rank = len(chosen) if chosen is not None else max(channels, default=-1) + 1
        if not rank and chosen is None:
            hint = f"Pass one with `shapes={{{name!r}: (1, 3, 224, 224)}}`"
            raise InputError(f"input {name!r} declares no shape", hint=hint)
        declared: list[Dim | None] = [None] * rank
    else:
        # Old exporters write -1 for a size that they do not know. 0 is one: ONNX Runtime takes no other.
        declared = [dim if isinstance(dim, int) and dim >= 0 else getattr(dim, "value", None) for dim in value.shape]
    if chosen is not None and (
        len(chosen) != len(declared)
        or any(isinstance(dim, int) and dim != size for dim, size in zip(declared, chosen, strict=True))
    ):
        raise InputError(f"input {name!r} cannot have the shape {list(chosen)}", shapes=f"it declares {value.shape}")
    return chosen or tuple(
        dim if isinstance(dim, int) else channels.get(axis) or dim or f"{name}:{axis}"
        for axis, dim in enumerate(declared)
    )


def _channels(value: ir.Value) -> dict[int, int]:
    """Axes whose size the weights of the first nodes tell."""
    found: dict[int, int] = {}
    for node, slot in value.uses():
        if slot != 0:
            continue
        if node.op_type in CHANNELS and not plain(node.domain):
            where, weight_axis, axis = CHANNELS[node.op_type]
            size = size_of(node.inputs[where], weight_axis)
            if size is not None and axis >= 0:
                found[axis] = size * (_groups(node) if node.op_type == "Conv" else 1)
            elif size is not None and value.shape is not None:
                found[len(value.shape) + axis] = size
        elif node.op_type in COPIES:
            found |= _channels(node.outputs[0])
        elif node.op_type == "Transpose" and (perm := node.attributes.get_ints("perm")):
            found |= {perm[axis]: size for axis, size in _channels(node.outputs[0]).items()}
    return found


def _groups(node: ir.Node) -> int:
    """In how many groups a convolution takes its channels.

    Raises:
        InputError: It cannot run: its kernels are not parts of as many groups.
    """
    groups, kernels = node.attributes.get_int("group", 1), size_of(node.inputs[1], 0)
    if groups < 1 or (kernels is not None and kernels % groups):
        reason = f"a convolution of {kernels} kernels has {groups} groups, so that it runs on no inputs"
        raise InputError(reason, node=node.name or "", operator=node.op_type)
    return groups


def resolved(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The size of a dimension once its symbols have sizes; at least 1."""
    if isinstance(dim, int):
        return dim
    if dim in sizes:
        return sizes[dim]
    expression = _expression(dim)
    found = None if expression is None else expression.evaluate(sizes)
    return max(1, found) if isinstance(found, int) else 1


def symbols(dim: Dim) -> frozenset[str]:
    """The symbols in a dimension: several in an expression, one in a name that is no expression."""
    if isinstance(dim, int):
        return frozenset()
    expression = _expression(dim)
    return frozenset((dim,)) if expression is None else expression.free_symbols()


def _expression(dim: str) -> ir.SymbolicDim | None:
    """A dimension that is an expression of others, and not one that would take for ever to work out."""
    if "**" in dim or len(dim) > LONGEST_EXPRESSION:
        return None
    expression = ir.SymbolicDim(dim)
    try:
        expression.free_symbols()
    except ValueError:
        return None
    return expression


def bindings(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The sizes that shapes chosen for some inputs give to symbols."""
    return {
        dim: size
        for value in model.graph.inputs
        if value.name is not None and value.name in shapes and value.shape is not None
        for dim, size in zip(dims(value), shapes[value.name], strict=True)
        if isinstance(dim, str)
    }


def sizings(inputs: Sequence[tuple[Dim, ...]], bound: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Sizes for all symbols, likely ones first; one symbol has one size wherever it stands.

    Args:
        inputs: Dimensions of every input.
        bound: Sizes that are known already.
    """
    batches, images, others = _sorted_symbols(inputs)
    seen: list[dict[str, int]] = []
    for steps_for_batch, rung in itertools.product((False, True), range(len(PIXELS))):
        steps = STEPS[min(rung, len(STEPS) - 1)]
        sizes = dict.fromkeys(others, steps) | dict.fromkeys(images, PIXELS[rung])
        sizes |= dict.fromkeys(batches, steps if steps_for_batch else 1)
        sizes |= {name: 2 * steps for name in others if "total" in name.lower()}  # past and present together
        sizes |= bound
        if sizes not in seen:
            seen.append(sizes)
            yield sizes


def batch_axes(inputs: Sequence[tuple[Dim, ...]]) -> set[str]:
    """Symbols that count examples.

    Args:
        inputs: Dimensions of every input.
    """
    return _sorted_symbols(inputs)[0]


def long_axes(inputs: Sequence[tuple[Dim, ...]], *, leading: bool) -> list[set[str]]:
    """Symbols that may count the steps of a sequence, the likeliest first: all of a set grow together.

    Args:
        inputs: Dimensions of every input.
        leading: Whether a first axis may count steps too, and not examples, as recurrent operators have it.
    """
    batches, _, others = _sorted_symbols(inputs)
    first = {name for name in batches if "batch" not in name.lower()} if leading else set()
    return [names for names in (first, others) if names]


def _sorted_symbols(inputs: Sequence[tuple[Dim, ...]]) -> tuple[set[str], set[str], set[str]]:
    """Symbols that count examples, pixels and anything else, by what they are called and where they stand."""
    places = [(name, axis, len(shape)) for shape in inputs for axis, dim in enumerate(shape) for name in symbols(dim)]
    everything = {name for name, _, _ in places}
    steps = {name for name in everything if re.search("seq|len|time|step|frame|token", name, re.IGNORECASE)}
    batches = {name for name in everything if "batch" in name.lower()}
    batches |= {name for name, axis, rank in places if axis == 0 and rank > 1} - steps
    images = {name for name, axis, rank in places if axis > 0 and rank > 3} - steps - batches
    return batches, images, everything - batches - images
