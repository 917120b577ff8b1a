"""What an input is for, read off the nodes that its entries reach.

An integer may be drawn only when it is known what it indexes, counts or selects: entries are followed through casts,
reshapes, cuts and subgraphs to the nodes that give them a meaning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from dataclasses import dataclass

import onnx_ir as ir

# Slots whose entries come out unchanged, in whatever order and shape.
CARRIES: dict[str, Container[int]] = {
    **dict.fromkeys(("Cast", "CastLike", "Clip", "Expand", "Flatten", "Gather", "GatherElements", "GatherND"), (0,)),
    **dict.fromkeys(("Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose"), (0,)),
    "Concat": range(1000),
    "Unsqueeze": (0,),
    "Where": (1, 2),
}

# Operator -> slot of indices -> (slot of the table that they index, its axis; None: as the attribute says).
INDEXES: dict[str, dict[int, tuple[int, int | None]]] = {
    "EmbedLayerNormalization": {0: (2, 0), 1: (4, 0), 6: (3, 0)},
    "GRU": {4: (0, 0)},
    "Gather": {1: (0, None)},
    "GatherElements": {1: (0, None)},
    "LSTM": {4: (0, 0)},
    "NegativeLogLikelihoodLoss": {1: (0, 1)},
    "RNN": {4: (0, 0)},
    "RotaryEmbedding": {1: (2, 0), 3: (1, 0)},  # the slots of com.microsoft and of ONNX itself
    "ScatterElements": {1: (0, None)},
    "SoftmaxCrossEntropyLoss": {1: (0, 1)},
}

# Slots that hold sizes, counts or ends: any small positive number will do.
SIZES: dict[str, Container[int]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Loop": (0,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Slice": (1, 2, 4),
    "Tile": (1,),
    "TopK": (1,),
}
LARGEST_SIZE = 5

UNBOUND = 2**63


@dataclass(frozen=True)
class Role:
    """What the entries of one input may be.

    Attributes:
        low: Smallest integer.
        high: Smallest integer that is too large.
        mask: Whether ones let everything through.
        choices: Constants that the input is compared with; non-empty for a scalar that selects.
        bound: Whether some node gave the range, or it is only a guess.
    """

    low: int = 0
    high: int = 2
    mask: bool = False
    choices: tuple[int, ...] = ()
    bound: bool = False


def role(value: ir.Value) -> Role:
    """Work out what the entries of a graph input are for."""
    low, high = 0, UNBOUND
    mask, choices = "mask" in (value.name or "").lower(), []
    for node, slot, shift in _readers(value):
        if (extent := _indexed(node, slot)) is not None:
            low, high = max(low, -shift), min(high, extent - shift)
        elif slot in SIZES.get(node.op_type, ()):
            low, high = max(low, 1), min(high, LARGEST_SIZE)
        elif node.op_type == "Equal" and isinstance(other := scalar(node.inputs[1 - slot]), int):
            choices.append(other)
        elif node.op_type == "Sub" and slot == 1 and value.dtype is not None and value.dtype.is_integer():
            # 1 - mask, before it is multiplied by a large negative number
            mask = mask or scalar(node.inputs[0]) == 1
    bound = high != UNBOUND
    return Role(low, max(high, low + 1) if bound else low + 2, mask, tuple(choices), bound)


def _readers(value: ir.Value) -> Iterator[tuple[ir.Node, int, int]]:
    """Every node that reads entries of a value, with the slot and what was added to the entries on the way."""
    queue, seen = deque([(value, 0)]), {value}
    while queue:
        current, shift = queue.popleft()
        for node, slot in current.uses():
            yield node, slot, shift
            followers = [(out, shift) for out in node.outputs] if slot in CARRIES.get(node.op_type, ()) else []
            if node.op_type in ("Add", "Sub") and len(node.inputs) == 2:
                other = scalar(node.inputs[1 - slot])
                if isinstance(other, int) and (node.op_type == "Add" or slot == 0):
                    followers = [(node.outputs[0], shift + (other if node.op_type == "Add" else -other))]
            followers += [(inner, shift) for inner in _entered(node, slot)]
            for follower, total in followers:
                if follower not in seen:
                    seen.add(follower)
                    queue.append((follower, total))


def _entered(node: ir.Node, slot: int) -> list[ir.Value]:
    """The formal parameter that an operand becomes inside a Loop or a Scan."""
    if node.op_type not in ("Loop", "Scan"):
        return []
    formals = node.attributes["body"].as_graph().inputs
    return [formals[slot]] if slot < len(formals) and (node.op_type == "Scan" or slot > 1) else []


def _indexed(node: ir.Node, slot: int) -> int | None:
    """The size of the axis that this operand's entries index, as far as it is known."""
    if node.op_type == "OneHot" and slot == 0:
        depth = scalar(node.inputs[1])
        return None if depth is None else int(depth)
    if node.op_type == "GatherND" and slot == 1:
        first = node.attributes.get_int("batch_dims", 0)
        width = size_of(node.inputs[1], -1) or 1
        return min(filter(None, (size_of(node.inputs[0], axis) for axis in range(first, first + width))), default=None)
    where, axis = INDEXES.get(node.op_type, {}).get(slot, (len(node.inputs), 0))
    if where >= len(node.inputs):
        return None
    return size_of(node.inputs[where], node.attributes.get_int("axis", 0) if axis is None else axis)


def scalar(value: ir.Value | None) -> int | float | None:
    """The one entry of an initializer or Constant node; None for anything else."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return tensor.numpy().item() if tensor is not None and tensor.size == 1 else None


def size_of(value: ir.Value | None, axis: int) -> int | None:
    """The size of one axis, where the graph tells it without being run."""
    if value is None:
        return None
    tensor = ir.convenience.get_const_tensor(value)
    shape = value.shape if tensor is None else tensor.shape
    if shape is not None:
        size = shape[axis] if -len(shape) <= axis < len(shape) else None
        return size if isinstance(size, int) else None
    node = value.producer()
    through = node is not None and node.op_type in ("Cast", "DequantizeLinear", "Identity")
    return size_of(node.inputs[0], axis) if node is not None and through else None
