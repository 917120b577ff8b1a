"""Values drawn to fit a graph: the same seed gives the same feeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import InputError
from onnx_n2n.graph.unfolding import write_out
from onnx_n2n.verification.dims import Dim, dims, resolved
from onnx_n2n.verification.roles import Role, role
from onnx_n2n.verification.sizing import sizing

# Feeds differ in size too: what a large input saturates, a small one brings to light.
LOUDNESS = (1.0, 0.1, 0.3)

# Values are drawn with eight bytes an entry, whatever their type. One feed takes no more memory than this.
WIDTH, LARGEST_FEED = 8, 2**30

# Integers that nothing bounds may hold anything; these are what a pixel or a sample holds.
FREE_RANGES = {ir.DataType.UINT8: (0, 256), ir.DataType.INT8: (-128, 128), ir.DataType.INT16: (-1024, 1024)}


@dataclass(frozen=True)
class Wanted:
    """What one graph input takes.

    Attributes:
        name: Name of the input.
        kind: Type of its entries.
        dims: Its dimensions, free ones as symbols.
        role: What its entries are for.
        sizing: Whether a size is computed of its entries.
    """

    name: str
    kind: ir.DataType
    dims: tuple[Dim, ...]
    role: Role
    sizing: bool = False


@dataclass(frozen=True)
class Style:
    """How values are drawn.

    Attributes:
        scale: Standard deviation of the real inputs of the first feed.
        positive: Draw real inputs between 0 and ``scale``, not from a normal distribution.
        whole: Range to draw integers from in place of the one that the graph tells.
        steady: Let masks hide nothing; otherwise they do from the second feed on.
    """

    scale: float = 1.0
    positive: bool = False
    whole: tuple[int, int] | None = None
    steady: bool = False


@dataclass(frozen=True)
class Drawn:
    """Feeds drawn for some sizes of the free dimensions. Feeds differ in their values and agree in their shapes."""

    wanted: tuple[Wanted, ...]
    sizes: Mapping[str, int]
    seed: int
    style: Style = Style()

    own = 1

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every input."""
        return {want.name: tuple(resolved(dim, self.sizes) for dim in want.dims) for want in self.wanted}

    def feed(self, turn: int) -> dict[str, np.ndarray]:
        """The feed of one turn."""
        rng = np.random.default_rng([self.seed, turn])
        shapes = self.shapes()
        return {want.name: _values(want, shapes[want.name], self.style, turn, rng) for want in self.wanted}

    def described(self) -> str:
        """Names, types and shapes of the feeds, for people; without drawing any."""
        shapes = self.shapes()
        return ", ".join(f"{w.name} {w.kind.numpy()}[{','.join(map(str, shapes[w.name]))}]" for w in self.wanted)

    def steady(self) -> Drawn:
        """The same feeds with masks that hide nothing."""
        return replace(self, style=replace(self.style, steady=True))


def drawable(plans: Sequence[Drawn]) -> list[Drawn]:
    """The plans whose feeds are not too large.

    Raises:
        InputError: There is none.
    """
    small = [plan for plan in plans if _bytes(plan.shapes()) <= LARGEST_FEED]
    if not small:
        shapes = min((plan.shapes() for plan in plans), key=_bytes)
        largest = max(shapes, key=lambda name: math.prod(shapes[name]))
        raise InputError(
            f"input {largest!r} of shape {list(shapes[largest])} is too large to be drawn",
            shapes=f"all inputs together would take {_bytes(shapes):,} bytes, and may take {LARGEST_FEED:,}",
            hint="Pass arrays with `inputs='data.npz'`, or a smaller shape with `shapes=` where dimensions are free",
        )
    return small


def _bytes(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return WIDTH * sum(map(math.prod, shapes.values()))


def wanted(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Wanted, ...]:
    """Read the inputs that must be fed; initializers listed as inputs need not be.

    Args:
        model: The teacher.
        shapes: Shapes that the caller chose, by input.

    Raises:
        InputError: An input is no tensor, has a type of which no values can be drawn, or cannot have its shape.
    """
    model = _inlined(model)
    inputs = {value.name or "": value for value in model.graph.inputs if value.name not in model.graph.initializers}
    for name in shapes:
        if name not in inputs:
            raise InputError(f"the model has no input {name!r}", hint=f"Its inputs are {', '.join(inputs)}")
    sizes = sizing(model)
    return tuple(
        Wanted(name, _kind(value), dims(value, shapes.get(name)), role(value), name in sizes)
        for name, value in inputs.items()
    )


def _inlined(model: ir.Model) -> ir.Model:
    """The model with its functions written out, so that what happens inside of them is seen."""
    if not model.functions:
        return model
    copy = model.clone()
    try:
        write_out(copy)
    except Exception:  # it raises of everything: without it, integers that a function indexes with are guessed
        return model
    return copy


def _kind(value: ir.Value) -> ir.DataType:
    kind = value.dtype if isinstance(value.type, ir.TensorType) else None
    if kind is None or not (kind in (ir.DataType.STRING, ir.DataType.BOOL) or kind.bitwidth >= 8):
        raise InputError(f"input {value.name!r} has the type {value.type}, of which no values can be drawn")
    return kind


def _values(want: Wanted, shape: tuple[int, ...], style: Style, turn: int, rng: np.random.Generator) -> np.ndarray:
    kind, role = want.kind, want.role
    if kind == ir.DataType.STRING:
        return np.asarray(rng.choice(["hello", "world"], shape), object)
    if role.mask:
        return _mask(shape, style, turn, rng).astype(kind.numpy())
    if kind == ir.DataType.BOOL:
        return rng.integers(0, 2, shape).astype(bool)
    if kind.is_floating_point():
        if not shape:
            return np.asarray(rng.uniform(0.1, 0.9)).astype(kind.numpy())
        values = rng.uniform(0.0, 1.0, shape) if style.positive else rng.standard_normal(shape)
        return (values * style.scale * LOUDNESS[turn % len(LOUDNESS)]).astype(kind.numpy())
    if role.choices and math.prod(shape) == 1:
        return np.full(shape, role.choices[0]).astype(kind.numpy())
    free = FREE_RANGES.get(kind)
    low, high = style.whole or ((role.low, role.high) if role.bound or free is None else free)
    return rng.integers(low, high, shape).astype(kind.numpy())


def _mask(shape: tuple[int, ...], style: Style, turn: int, rng: np.random.Generator) -> np.ndarray:
    """Ones; from the second turn on the end of the last axis, less than half of it, may be hidden."""
    values = np.ones(shape)
    if turn and shape and shape[-1] and not style.steady:
        values[..., rng.integers(shape[-1] // 2 + 1, shape[-1] + 1) :] = 0
    return values
