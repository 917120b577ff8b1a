"""Cut: other outputs of a model, so that more can be built on what people download."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import onnx_ir as ir

from onnx_n2n.cutting.batch import Freed, free
from onnx_n2n.cutting.places import ahead, behind, made_by, unnormalised
from onnx_n2n.cutting.taking import Taken, take
from onnx_n2n.cutting.types import declare
from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.io.incoming import private
from onnx_n2n.options import option
from onnx_n2n.passes.base import Pass
from onnx_n2n.passes.leaving_out import Part
from onnx_n2n.passes.report import Change, Excerpt
from onnx_n2n.record.record import Step
from onnx_n2n.verification.options import Proof


@dataclass(frozen=True)
class Cut(Pass):
    """Cut a model down to what makes some of its tensors, which become its outputs.

    1. Find the tensors: by name, as what goes into a node, or as what goes into a Softmax at the end.
    2. Make them the outputs, with their types and shapes. Nodes, weights, inputs and functions that only led to the old
       outputs go.
    3. If the batch is to be free, give the first axis of inputs and outputs a name in place of a number, also in the
       shapes that Reshape states.

    The outputs are then what these tensors are in the teacher, for the same inputs.
    """

    suffix: ClassVar[str] = "cut"
    first: ClassVar[bool] = True

    after: Sequence[str] = option(
        (), "Give these tensors, or what these nodes make, in place of the outputs.", metavar="NAME"
    )
    before: Sequence[str] = option(
        (), "Give what goes into these nodes, or into those that make these tensors.", metavar="NAME"
    )
    softmax: bool = option(False, "Take a Softmax at the end off, so that the outputs are logits.")
    free_batch: bool = option(
        False, "Let the model take any number of examples: free the first axis of its inputs and outputs."
    )

    def check(self) -> None:
        """Check what can be checked without a model.

        Raises:
            OptionError: If nothing is asked for, or two things that contradict each other.
        """
        super().check()
        if not (self.after or self.before or self.softmax or self.free_batch):
            hint = "name tensors with `after=` or `before=`, or take a Softmax at the end off with `softmax=True`"
            raise OptionError("nothing says where to cut", hint=hint)
        if self.softmax and (self.after or self.before):
            raise OptionError("`softmax=True` goes without `after=` and `before=`", hint="name the logits instead")

    def change(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:
        """Cut a private working copy.

        Raises:
            GrowthError: If there is nothing of a name, or the batch cannot be free.
        """
        self.check()
        if self.softmax:
            values = unnormalised(model)
        else:
            values = list(dict.fromkeys((*behind(model, self.after), *ahead(model, self.before))))
        moved, notes = bool(values) and values != list(model.graph.outputs), [_unmoved(model)] * self.softmax
        taken = Taken()
        if moved:
            declare(model, values, proof, folder)
            taken = take(model, values)
            notes = _notes(taken)
        freed = self._freed(model, proof, folder)
        if not moved and freed is None:
            return Change()
        outputs = tuple(str(value.name) for value in model.graph.outputs)
        trace = {
            str(value.name): (None,) * len(value.shape)
            for node in model.graph
            for value in node.outputs
            if value.shape is not None
        }
        step = Step(outputs=outputs if moved else (), gone=taken.weights)
        return Change(trace=trace, steps=(step,), cuts=(Excerpt(outputs, taken, freed),), notes=tuple(notes))

    def _freed(self, model: ir.Model, proof: Proof, folder: Path | None) -> Freed | None:
        """Free the batch, if that is asked for, and run the model to see that its rows stay apart.

        Raises:
            GrowthError: They do not.
        """
        if not self.free_batch:
            return None
        fixed = private(model)
        freed = free(model)
        if freed is not None and proof.wanted:
            from onnx_n2n.verification.batches import mixed

            if (found := mixed(fixed, model, proof, folder)) is not None:
                raise GrowthError(
                    f"the batch cannot be free: {found.reason}", node=found.node, operator=found.operator,
                    shapes=f"the model is for {freed.number}",
                    hint="cut in front of this node, or export the model for evaluation, or with a batch that is free",
                )  # fmt: skip
        return freed

    def nothing(self, model: ir.Model, done: Change) -> tuple[str, str]:  # noqa: ARG002 - there is one reason for each
        """Return why nothing was cut."""
        named = bool(self.after or self.before)
        outputs = ", ".join(repr(str(value.name)) for value in model.graph.outputs)
        reasons = [f"the outputs are {outputs} already"] * named + [_unmoved(model)] * self.softmax
        reasons += ["the first axes of all inputs are free already"] * self.free_batch
        return "; ".join(reasons), "say where to cut with `after=` or `before=`" * (named or self.softmax)

    def parts(self, model: ir.Model, proof: Proof, folder: Path | None) -> Sequence[Part]:  # noqa: ARG002
        """Return nothing: without the cut, there is another student."""
        return ()

    def leave(self, parts: Collection[Part]) -> Cut:  # noqa: ARG002 - there is none
        """Return the same pass."""
        return self

    def pick(self, parts: Collection[Part]) -> Cut:  # noqa: ARG002 - there is none
        """Return the same pass."""
        return self


def _notes(taken: Taken) -> list[str]:
    """Return what a person should know."""
    inputs = ", ".join(map(repr, taken.inputs))
    return [f"the model no longer takes {inputs}, which nothing reads any more"] if taken.inputs else []


def _unmoved(model: ir.Model) -> str:
    """Return why no Softmax was taken off."""
    makers = ", ".join(f"{made_by(value)} makes {value.name!r}" for value in model.graph.outputs)
    return f"no Softmax stands at the end: {makers}"
