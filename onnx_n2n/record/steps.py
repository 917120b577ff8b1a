"""What one pass did to a model: the weights that grew, those that are new, and what else has to follow.

These are values; :mod:`onnx_n2n.record.documents` says how they are written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from onnx_n2n.record.forms import Forms
from onnx_n2n.record.recipe import Recipe
from onnx_n2n.words import brief, count

LAYER = "layer"  # a kind of place, see New
COPY, ZERO = "copy", "zero"  # how a new weight is made


@dataclass(frozen=True, eq=False)
class Remade:
    """A weight of a student that is made of one of its teacher.

    Attributes:
        teacher: Name of the teacher's weight.
        student: Name of the student's weight; another one where the teacher's served several uses.
        before: The teacher's shape.
        recipe: How the values are made.
        dual: Per axis float64[n'], what a gradient is multiplied by that belongs to the teacher's weight, None for 1.
            Where a weight carries shares its gradient does not, and the other way round.
        readers: Names of the nodes that read the student's weight.
    """

    teacher: str
    student: str
    before: tuple[int, ...]
    recipe: Recipe
    dual: tuple[np.ndarray | None, ...]
    readers: tuple[str, ...] = ()

    @property
    def after(self) -> tuple[int, ...]:
        """The student's shape."""
        return self.recipe.shape(self.before)

    def gradient(self, teacher: np.ndarray, power: float = 1.0) -> np.ndarray:
        """Return the gradient of the student's weight for the teacher's, or a moment of it of some power, perhaps 0.

        New channels with values of their own have had no gradient, and get zeros.
        """
        grown = teacher
        for axis, index in enumerate(self.recipe.index):
            if index is None:
                continue
            inside = np.minimum(index, grown.shape[axis] - 1)  # a row that is appended has no counterpart
            grown = np.take(grown, inside, axis=axis)
            dual = np.ones(len(index)) if (found := self.dual[axis]) is None else found
            scale = np.where(self._new(axis, index) | (dual == 0), 0.0, dual**power)
            grown = grown * scale.reshape(-1, *[1] * (grown.ndim - axis - 1)).astype(grown.dtype)
        result: np.ndarray = (grown / self.recipe.scale**power).astype(teacher.dtype)
        return result

    def _new(self, axis: int, index: np.ndarray) -> np.ndarray:
        fresh = self.recipe.fresh[axis] if axis < len(self.recipe.fresh) else None
        return np.logical_or(index >= self.before[axis], False if fresh is None else fresh)


@dataclass(frozen=True)
class New:
    """A weight that a pass has put in.

    Attributes:
        student: Its name.
        shape: Its shape.
        like: Name of the weight of the same model that it is a copy of, or that has the same part in the layer that the
            new one was modelled on; empty for none.
        readers: Names of the nodes that read that one, and whose copies read this one; empty for all.
        copies: Names of these copies, one for each of the readers.
        kind: The kind of place: ``block`` stands before the block that it is a copy of, and so does ``layer``, which is
            one of a class that numbers its layers: its name is that of the class' parameter, and those of the weights
            that stand behind it change too. Others stand behind their neighbour.
        place: A number that the weights of one place share.
        made: How its numbers are made: ``copy`` of those of the weight that it is like, or ``zero``; empty where only
            the student has them.
    """

    student: str
    shape: tuple[int, ...]
    like: str = ""
    readers: tuple[str, ...] = ()
    kind: str = ""
    place: int = 0
    copies: tuple[str, ...] = ()
    made: str = ""


@dataclass(frozen=True, eq=False)
class Step:
    """What one pass did.

    Attributes:
        text: The pass with its options.
        seed: The seed of everything random in it.
        parent: Digest of the model that it was given.
        remade: The weights that grew.
        new: The weights that were put in.
        settings: What else code must follow: for each node and attribute, or slot, the number before and after. Both
            are the same where code may work the number out from a width that grew, and must not.
        apart: What weights would be for some of their readers, if they were not one for all: the student multiplies
            what these read by the shares, which code does not do.
        multiplied: Nodes whose operands the student multiplies by shares that no weight carries.
        gained: Names of the outputs that became longer; what the teacher gives comes first in them.
        forms: What new tensors and settings are before they are rounded.
        outputs: Names of the teacher's tensors that the student gives in place of all of its outputs; empty where it
            gives these.
        gone: Names of the weights that the student does not have, since nothing that it gives needs them.
    """

    text: str = ""
    seed: int | None = None
    parent: str = ""
    remade: tuple[Remade, ...] = ()
    new: tuple[New, ...] = ()
    settings: Mapping[str, tuple[float | None, float]] = field(default_factory=dict)
    apart: tuple[Remade, ...] = ()
    multiplied: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    forms: Forms = field(default_factory=Forms)
    outputs: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Step {brief(self.text)}: {count(len(self.remade), 'weight')} grew, {len(self.new)} are new>"
