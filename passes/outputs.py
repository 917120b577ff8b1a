"""More outputs for a classifier: what it said before, it says still."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import onnx_ir as ir

from onnx_n2n.analysis.groups import Group
from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.axes.algebra import Factor, Limit, Reason, leaves, resolve
from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.options import option
from onnx_n2n.passes.base import Selective
from onnx_n2n.passes.leaving_out import Part
from onnx_n2n.passes.report import Change
from onnx_n2n.passes.widen import carry_out, groups_touched
from onnx_n2n.verification.options import Proof
from onnx_n2n.width.choice import MOST
from onnx_n2n.width.growth import Channels, GrownGroup, Growth, added, averaged


@dataclass(frozen=True)
class Outputs(Selective):
    """Let a classifier tell more classes apart: an output becomes longer, and what it said before stays as it is.

    1. Find the layer that makes the output, by the axis along which weights make its entries.
    2. Give it further entries, each with the mean of what the old ones have in every weight. Behind one linear layer
       they then say the mean of the old ones, and the largest of these stays the largest. In a quantised layer, or
       where a mean may have no value, they are copies of old ones. They are all alike, until training tells them
       apart by their labels.
    3. Rewrite weights, attributes and shape constants. Nothing else changes.

    What normalises over the entries, as Softmax does, would change them; such an output is refused.
    """

    suffix: ClassVar[str] = "widened"

    size: int = option(0, "The new length.", least=0)
    name: str = option("", "Name of the output.", usual="the one that can grow, if there is only one", word="output")

    def check(self) -> None:
        """Check what can be checked without a model.

        Raises:
            OptionError: If the size has no meaning.
        """
        if not 0 < self.size <= MOST:
            raise OptionError(f"the size of an output must be from 1 to {MOST}, not {self.size}")

    def change(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:  # noqa: ARG002 - runs nothing
        """Give the output of a private working copy more entries.

        Raises:
            GrowthError: If there is no such output, or it cannot grow.
            OptionError: If it would shrink.
        """
        self.check()
        name, analysis, growth = self._plan(model)
        return Change() if growth is None else carry_out(analysis, growth, gained=(name,))

    def parts(self, model: ir.Model, proof: Proof, folder: Path | None) -> Sequence[Part]:  # noqa: ARG002
        """Return the group of the entries, if it would grow."""
        _, analysis, growth = self._plan(model)
        return [] if growth is None else groups_touched(analysis, growth)

    def nothing(self, model: ir.Model, done: Change) -> tuple[str, str]:  # noqa: ARG002 - it grows, or is as long
        """Return why the output has not grown."""
        name, group, _ = self._choose(model)
        if self.size == group.size:
            return f"the output has {self.size} entries already", "give a larger `size=`"
        return f"the group {group.name!r} of output {name!r} is left out", ""

    def _plan(self, model: ir.Model) -> tuple[str, Analysis, Growth | None]:
        """Return the output that grows, the analysis in which it may, and how; None where nothing grows."""
        name, group, analysis = self._choose(model)
        if self.size < group.size:
            raise OptionError(f"output {name!r} has {group.size} entries already and cannot shrink to {self.size}")
        self.check_names([each.name for each in analysis.groups])
        if self.size == group.size or not self.takes(group.name):
            return name, analysis, None
        channels = _channels(analysis, group, self.size)
        grown = GrownGroup(group.name, group.size, self.size)
        return name, analysis, Growth({group.factor: channels}, (grown,), ())

    def _choose(self, model: ir.Model) -> tuple[str, Group, Analysis]:
        """Return the output that grows, the group of its entries, and the analysis in which that is free.

        Raises:
            GrowthError: If none can, or several.
        """
        names = [str(value.name) for value in model.graph.outputs]
        if self.name and self.name not in names:
            raise GrowthError(f"there is no output named {self.name!r}", hint=f"outputs are {', '.join(names)}")
        found, refused = [], []
        for name in [self.name] if self.name else names:
            analysis = analyze(model, opened={name})
            try:
                found.append((name, _made(analysis, name), analysis))
            except GrowthError as refusal:
                refused.append(refusal)
        if not found:
            raise refused[0]
        if len(found) > 1:
            named = " or ".join(repr(name) for name, _, _ in found)
            raise GrowthError("several outputs can gain entries", hint=f"say which one with `name=`: {named}")
        return found[0]


def _made(analysis: Analysis, name: str) -> Group:
    """Return the group of the entries that weights make in an output.

    Raises:
        GrowthError: If there is none that can grow, or there are several.
    """
    value = next(value for value in analysis.model.graph.outputs if value.name == name)
    axes = analysis.axes.get(value, ())
    made = {group.factor: group for group in analysis.groups if any(not member.consumes for member in group.members)}
    plain = [axis for axis in map(resolve, axes) if isinstance(axis, Factor)]
    found = [made[factor] for factor in dict.fromkeys(plain) if factor in made]
    free = [group for group in found if group.limit in {None, Limit.COPIES} and plain.count(group.factor) == 1]
    if len(free) == 1:
        return free[0]
    why = next(_reasons(analysis, value, made), None) or "no layer with weights makes its entries"
    raise GrowthError(
        f"output {name!r} cannot gain entries: {why if not free else 'it could along several axes'}",
        shapes=f"its shape is {value.shape}" if value.shape is not None else "",
        hint="only what a layer with weights makes can, such as logits; take off what follows it with the pass 'cut' "
        "first (a Softmax with `softmax=True`), or name another output",
    )


def _reasons(analysis: Analysis, value: ir.Value, made: Mapping[Factor, Group]) -> Iterator[Reason | str | None]:
    """Yield why axes of an output may not grow: what a node says goes first, and what an input has too goes last."""
    axes = analysis.axes.get(value, ())
    yield from (made[axis].reason for axis in map(resolve, axes) if isinstance(axis, Factor) and axis in made)
    if any(leaf in made for axis in axes for leaf in leaves(axis)):
        yield "its entries are those of several layers or axes, side by side or nested"
    inputs = [axis for each in analysis.model.graph.inputs for axis in analysis.axes.get(each, ())]
    given = {leaf for axis in inputs for leaf in leaves(axis)}
    pinned = {leaf: leaf.limits.get(Limit.PINNED) for axis in axes for leaf in leaves(axis)}
    found = [(leaf, reason) for leaf, reason in pinned.items() if reason is not None]
    for leaf, reason in sorted(found, key=lambda each: (each[0] in given, not each[1].node, each[0].size is None)):
        if leaf in given and not all(map(leaves, axes)):
            yield "it has a single one, and an axis of length 1 does not grow"
        if reason.text == f"graph output {value.name!r}":
            yield "what follows the layer that makes its entries puts them in another order"
        elif reason.text.startswith("graph "):
            yield f"{reason.text} has them too"
        else:
            yield reason


def _channels(analysis: Analysis, group: Group, after: int) -> Channels:
    """Return the further entries: the mean of the old ones where all weights may have it, else copies."""
    weights = {member.weight for member in group.members}
    real = all(analysis.constants.scalable(value) for value in analysis.constants if value.name in weights)
    real = real and group.limit is None
    return averaged(group.size, after) if real else added(group.size, after)
