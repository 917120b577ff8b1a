"""Larger kernels for the convolutions of arbitrary graphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar

import onnx_ir as ir

from onnx_n2n.analysis.selection import unmatched
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.errors import GrowthError
from onnx_n2n.kernels.growth import grow, remade, trace
from onnx_n2n.kernels.layers import Layer, layers_of, lengths, written
from onnx_n2n.kernels.padding import Margin, prepare
from onnx_n2n.options import option
from onnx_n2n.passes.base import Selective
from onnx_n2n.passes.leaving_out import Part, touching
from onnx_n2n.passes.report import Added, Change
from onnx_n2n.record.record import Step
from onnx_n2n.record.settings import changed, settings
from onnx_n2n.verification.options import Proof
from onnx_n2n.width.growth import KeptGroup


@dataclass(frozen=True)
class Enlarge(Selective):
    """Make the kernels of convolutions larger without changing what the model computes.

    1. Find the convolutions, with the weights that their kernels are in.
    2. Put zeros around each kernel, as many on both sides of an axis, so that its centre stays.
    3. Pad what the kernel moves over by as much more. Nothing else changes.
    """

    suffix: ClassVar[str] = "enlarged"
    part: ClassVar[str] = "convolution"

    kernel: str = option(
        "", "Kernel to grow to; one number holds for every axis.", usual="2 more for axes longer than 1", metavar="5x5"
    )
    _: KW_ONLY
    include: Sequence[str] = option(
        (), "Grow only kernels of layers, nodes or weights of these names, or of these lengths, as 3x3.", metavar="GLOB"
    )
    exclude: Sequence[str] = option((), "Leave such kernels as they are.", metavar="GLOB")

    def check(self) -> None:
        """Check what can be checked without a model.

        Raises:
            OptionError: If a value has no meaning.
        """
        if self.kernel:
            lengths(self.kernel)

    def change(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:  # noqa: ARG002 - runs nothing
        """Enlarge kernels in a private working copy."""
        self.check()
        analysis = analyze(model)
        wanted, kept, there = [], [], list(layers_of(analysis))
        names = {name for layer in there for name in layer.names}
        for layer in self._choose(there):
            try:
                wanted.append(prepare(analysis, layer, self._margin(layer)))
            except GrowthError as refusal:
                kept.append(_kept(layer, refusal.reason))
        before = settings(model)
        grown, refused = grow(analysis, wanted)
        kept += [_kept(growing.layer, reason) for growing, reason in refused.items()]
        added = tuple(
            Added(
                growing.layer.title,
                f"kernel {written(growing.layer.kernel)} -> {written(growing.kernel)}",
                weights=(name,),
            )
            for growing, name in grown.items()
        )
        steps = (Step(remade=remade(grown), settings=changed(before, settings(model))),) if grown else ()
        globs = {"include": self.include, "exclude": self.exclude}
        notes = [note for each in globs for note in unmatched(each, globs[each], names, "no convolution")]
        return Change(added=added, kept=tuple(kept), trace=trace(analysis, grown), notes=tuple(notes), steps=steps)

    def parts(self, model: ir.Model, proof: Proof, folder: Path | None) -> Sequence[Part]:  # noqa: ARG002
        """Return the layers whose kernels would grow."""
        chosen = self._choose(list(layers_of(analyze(model))))

        def names(node: ir.Node) -> Iterator[str]:
            yield from (layer.title for layer in chosen if layer.node is node)

        return touching(model.graph, names)

    def nothing(self, model: ir.Model, done: Change) -> tuple[str, str]:
        """Return why no kernel has grown."""
        if done.kept:
            hint = "choose another one with `kernel=`, or other layers with `include=`"
            return f"no kernel can grow as asked: {done.kept[0].name!r}: {done.kept[0].reason}", hint
        if any(layers_of(analyze(model))):
            return "no kernel that can grow is left by `only=` and `without=`", ""
        return "no kernel can grow: there is no convolution in the model", ""

    def _choose(self, layers: Sequence[Layer]) -> list[Layer]:
        """Return the layers whose kernels are to grow.

        Raises:
            GrowthError: If globs leave none.
        """
        self.check_names([layer.title for layer in layers])
        found = [
            layer
            for layer in layers
            if (not self.include or _matches(layer, self.include)) and not _matches(layer, self.exclude)
        ]
        if not found and (self.include or self.exclude):
            wish = f" that matches {' '.join(self.include)!r}" if self.include else ""
            but = f" beside {' '.join(self.exclude)!r}" if self.exclude else ""
            hint = "globs are matched with names of layers, nodes and weights, and with kernels, as 3x3"
            raise GrowthError(f"there is no convolution{wish}{but}", hint=hint)
        return [layer for layer in found if self.takes(layer.title)]

    def _margin(self, layer: Layer) -> Margin:
        """Return how far a kernel grows on either side.

        Raises:
            GrowthError: If it cannot grow as asked.
        """
        own = layer.kernel
        if layer.barred:
            raise GrowthError(layer.barred)
        if not self.kernel:
            if all(length == 1 for length in own):
                raise GrowthError(f"its kernel is {written(own)}, which grows only to a kernel that is stated")
            return tuple(int(length > 1) for length in own)
        wanted = lengths(self.kernel)
        wanted = wanted * len(own) if len(wanted) == 1 else wanted
        if len(wanted) != len(own):
            raise GrowthError(f"a kernel of {len(wanted)} axes does not fit a convolution of {len(own)}")
        if wanted == own:
            raise GrowthError(f"its kernel is {written(own)} already")
        if any(longer < length for longer, length in zip(wanted, own, strict=True)):
            raise GrowthError(f"its kernel is {written(own)}, and none shrinks along any axis")
        if any((longer - length) % 2 for longer, length in zip(wanted, own, strict=True)):
            raise GrowthError(f"its kernel is {written(own)}, which only grows evenly, by as much on both sides")
        return tuple((longer - length) // 2 for longer, length in zip(wanted, own, strict=True))


def _kept(layer: Layer, reason: str) -> KeptGroup:
    return KeptGroup(layer.title, max(layer.kernel, default=0), reason)


def _matches(layer: Layer, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs for name in layer.names)
