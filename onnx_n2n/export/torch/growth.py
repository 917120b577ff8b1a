"""The proof of a grown checkpoint: outputs and gradients of the student with it, beside those of the teacher."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from onnx_n2n.checkpoint.growth import Grown
from onnx_n2n.errors import VerificationError
from onnx_n2n.export.build import program_of
from onnx_n2n.export.check import feeds
from onnx_n2n.export.operators.table import known
from onnx_n2n.export.program import Program
from onnx_n2n.export.torch import Network, dtypes, module_of
from onnx_n2n.record.record import Record

TOLERANCE = 1e-3
"""The largest error of an output that is acceptable, relative to the largest of its numbers."""

SMALL = 1e-3  # of the largest gradient of all: one that is less is nothing but rounding where it should be zero

Arrays = Mapping[str, np.ndarray]
NONE: Mapping[str, tuple[int, ...]] = MappingProxyType({})


@dataclass(frozen=True)
class Comparison:
    """How a grown checkpoint compares with the one before.

    Attributes:
        outputs: The largest difference of an output, relative to the largest of its numbers.
        gradients: The largest difference of a gradient of the student from that of the teacher as the record maps it,
            relative to the largest of its numbers, or to a thousandth of the largest of all. Noise on copies shows
            here, as it makes their gradients differ.
        worst: The weight of that gradient.
        compared: How many weights were compared: those that one parameter is made of, and that only one is made of.
        values: Whose values were run: the ``checkpoint``'s, or the ``models``' own, where these hold no parameters, as
            with norms that were folded.
    """

    outputs: float
    gradients: float
    worst: str
    compared: int
    values: str

    def to_json(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        return asdict(self)


def prove(teacher: ir.Model, student: ir.Model, found: Grown, before: Arrays, seed: int = 0) -> Comparison:
    """Run teacher and student in evaluation mode, with a checkpoint before and after it grew.

    Raises:
        ExportError: There is no PyTorch for an operator.
        VerificationError: The student computes something else.
    """
    sides = [_Side(model) for model in (teacher, student)]
    old, new = _initializers(found, before)
    if old:
        sides[0].load(old)
        sides[1].load(new)
    feed = feeds(teacher, seed)[0]
    theirs, mapped = sides[0].run(feed, seed)
    said = {name: theirs[name].shape for name in found.record.gained & theirs.keys()}
    ours, own = sides[1].run(feed, seed, said)
    outputs = max((_difference(ours[name], truth) for name, truth in theirs.items()), default=0.0)
    if outputs > TOLERANCE:
        raise VerificationError(
            f"the student with the grown checkpoint is off by {outputs:.1e} from the teacher with the one before",
            hint="nothing was written. The models must be those that the record was written with",
        )
    size = max((float(np.abs(gradient).max(initial=0.0)) for gradient in mapped.values()), default=0.0)
    errors = {
        name: _difference(own[name] * mask, gradient * mask, SMALL * size)
        for weight, gradient in mapped.items()
        for name, gradient, mask in _mapped(found.record, weight, gradient)
        if name in own and _fits(name, own[name].shape, gradient.shape)
    }
    worst = max(errors, key=lambda name: errors[name], default="")
    return Comparison(outputs, errors.get(worst, 0.0), worst, len(errors), "checkpoint" if old else "models")


def _difference(found: np.ndarray, wanted: np.ndarray, least: float = 0.0) -> float:
    if found.shape != wanted.shape:
        return float("inf")
    size = max(float(np.abs(wanted).max(initial=0.0)), least)
    return float(np.abs(found - wanted).max(initial=0.0)) / size if size else 0.0


def _fits(name: str, found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Make sure that a weight of a model has the shape that the record gives it.

    Raises:
        VerificationError: If it has another one.
    """
    if tuple(found) != tuple(wanted):
        raise VerificationError(
            f"weight {name!r} is not of the shape that the record says",
            shapes=f"{list(found)} where it says {list(wanted)}",
            hint="nothing was written. The models must be those that the record was written with",
        )
    return True


def _mapped(record: Record, weight: str, gradient: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield what a gradient is for each of the student's weights, and which places had one before."""
    for name, line in record.lines(weight):
        found, mask = gradient, np.ones_like(gradient)
        for remade in line:
            found, mask = remade.gradient(found), remade.gradient(mask) != 0
            mask = mask.astype(gradient.dtype)
        yield name, found, mask


def _initializers(found: Grown, arrays: Arrays) -> tuple[Arrays, Arrays]:
    """Return the weights of teacher and student that a checkpoint makes; none if norms were folded into some."""
    old: dict[str, np.ndarray] = {}
    new: dict[str, np.ndarray] = {}
    record = found.record
    for weight, entries in record.origins.items():
        origins = [origin for origin in entries if found.aliases.keys().isdisjoint(origin.names)]
        if any(origin.layout.kind == "channels" for origin in origins):
            return {}, {}
        origin = origins[0] if origins else entries[0]
        if len(origins) != 1 or not origin.names or any(name not in arrays for name in origin.names):
            continue
        old[weight] = origin.layout.pack([arrays[name] for name in origin.names])
        for name, line in record.lines(weight):
            array = old[weight]
            for remade in line:
                array = remade.recipe.make(array)
            new[name] = array
    return old, new


class _Side:
    """A model in PyTorch, its tensors by the names that weights have in the file."""

    def __init__(self, model: ir.Model) -> None:
        self.program: Program = program_of(model, known)
        self.module: Network = module_of(self.program)
        uses = Counter(weight.initializer for weight in self.program.weights.values())
        holds = Counter(part for weight in self.program.weights.values() for part in weight.parts)
        self.single = {
            weight.initializer: weight
            for weight in self.program.weights.values()
            if uses[weight.initializer] == 1 and all(holds[part] == 1 for part in weight.parts)
        }

    def load(self, arrays: Arrays) -> None:
        """Take the values of weights."""
        state = self.module.state_dict()
        for name, array in arrays.items():
            weight = self.single.get(name)
            if weight is not None:
                for part, values in zip(weight.parts, weight.layout.unpack(array), strict=True):
                    _fits(name, state[part].shape, values.shape)
                    state[part].copy_(dtypes.to_tensor(np.array(values)))

    def run(self, feed: Arrays, seed: int, said: Mapping[str, tuple[int, ...]] = NONE) -> tuple[Arrays, Arrays]:
        """Return the outputs, those in ``said`` cut to a shape, and the gradients by a random sum of them."""
        outputs = self.module(*(dtypes.to_tensor(feed[name]) for name in self.program.main.inputs))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        named = dict(zip(self.program.outputs, outputs, strict=True))
        floats = {name: y for name, y in named.items() if torch.is_tensor(y) and y.is_floating_point()}
        floats |= {name: floats[name][tuple(map(slice, shape))] for name, shape in said.items() if name in floats}
        generator = torch.Generator().manual_seed(seed)
        loss = sum((y.float() * torch.randn(y.shape, generator=generator)).sum() for y in floats.values())
        if torch.is_tensor(loss) and loss.requires_grad:
            loss.backward()
        parameters = dict(self.module.named_parameters())
        gradients = {}
        for name, weight in self.single.items():
            found = [parameters[part].grad if part in parameters else None for part in weight.parts]
            if all(gradient is not None for gradient in found):
                gradients[name] = weight.layout.pack([dtypes.to_array(gradient) for gradient in found])
        return {name: dtypes.to_array(y) for name, y in floats.items()}, gradients
