"""Net2Deeper for arbitrary graphs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar, Literal, get_args

import onnx_ir as ir

from onnx_n2n.analysis.selection import unmatched
from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.axes.algebra import size
from onnx_n2n.depth.copies import copy
from onnx_n2n.depth.layers import Moments, PlaceSettings, identity, residual
from onnx_n2n.depth.moments import measure
from onnx_n2n.depth.places import Place, places
from onnx_n2n.depth.recurrent import stacked
from onnx_n2n.depth.splice import Splice
from onnx_n2n.errors import GrowthError, InputError, ModelError, OptionError, TimeLimitError
from onnx_n2n.graph.names import Names
from onnx_n2n.kernels.layers import lengths
from onnx_n2n.options import option
from onnx_n2n.passes.base import Selective
from onnx_n2n.passes.leaving_out import Part, touching
from onnx_n2n.passes.report import Added, Change
from onnx_n2n.record.forms import Forms
from onnx_n2n.record.record import New, Step
from onnx_n2n.verification.options import Proof
from onnx_n2n.width.growth import KeptGroup

Kind = Literal["auto", "block", "identity", "residual"]
LONGEST = 7  # kernel that a new layer takes over from its neighbour at most
USUAL = 3  # kernel where the neighbour's has no middle


@dataclass(frozen=True)
class Deepen(Selective):
    """Make a model deeper without changing what it computes.

    1. Find the places: residual blocks, of which a copy can stand before them that adds zero; activations that may be
       applied twice, behind which a layer can stand that is the identity; other activations and recurrent layers,
       behind which two layers can stand that add zero.
    2. Choose: one kind of place unless told otherwise, in that order; of these all, every n-th, or so many, spread
       evenly.
    3. Put new layers there, with a kernel, bias and norm as their neighbours have. Nothing else changes.

    Source: Chen, Goodfellow, Shlens, Net2Net, ICLR 2016, section 2.3 (Net2DeeperNet).
    """

    suffix: ClassVar[str] = "deepened"
    part: ClassVar[str] = "place"

    kind: Kind = option(
        "auto", "Copies of residual blocks, identity layers, residual pairs of layers, or the first there is."
    )
    _: KW_ONLY
    after: Sequence[str] = option((), "Only behind layers, weights or tensors of these names.", metavar="GLOB")
    stage: Sequence[int] = option((), "Only in these stages; 'inspect' lists them.", metavar="N")
    every: int = option(1, "Take only every n-th place.", least=1)
    count: int = option(
        0, "How many times to add depth, spread evenly.", usual="everywhere", least=0, most=10_000
    )
    kernel: Sequence[str] = option(
        (), "Kernel of new convolutions; several make one behind the other.", usual="the neighbour's", metavar="3x3"
    )
    calibrate: str | os.PathLike[str] | None = option(
        None, "Real inputs from which BatchNormalization takes its statistics.", metavar="FILE.npz"
    )
    seed: int = option(0, "Seed of everything random.", least=0)

    def check(self) -> None:
        """Check what can be checked without a model.

        Raises:
            OptionError: If a value has no meaning.
        """
        super().check()
        for text in self.kernel:
            _odd(text)

    def files(self) -> tuple[Path, ...]:
        """Return the file of real inputs."""
        return (Path(self.calibrate),) if self.calibrate else ()

    def change(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:
        """Deepen a private working copy."""
        self.check()
        analysis = analyze(model)
        trace = {str(value.name): (None,) * len(axes) for value, axes in analysis.axes.items()}
        there = places(analysis).found
        chosen = self._choose(there)
        moments, origin, failed = self._moments(analysis, chosen, proof, folder)
        names, order = Names(model), {node: place for place, node in enumerate(model.graph)}
        added, kept, new = [], [], []
        changed: dict[str, tuple[float | None, float]] = {}
        forms = Forms()
        for place, times in chosen:
            if place.near is not None and place.near.norm is not None and failed:
                kept.append(KeptGroup(place.name, place.near.channels, failed))
                continue
            try:
                for _ in range(times):
                    splice = Splice(names, place.value)
                    added.append(self._add(splice, analysis, place, moments.get(place.value)))
                    graph = _graph(place.value, model.graph)
                    splice.close(splice.nodes[-1].outputs[0], graph, order)
                    changed |= splice.settings
                    forms.tensors.update(splice.forms)
                    new += [_new(weight, place, len(added), *how) for weight, how in splice.weights.items()]
            except GrowthError as refusal:
                kept.append(KeptGroup(place.name, place.near.channels if place.near is not None else 0, refusal.reason))
        real = "; `calibrate=` takes them from real ones" if origin.startswith("drawn") else ""
        notes = [f"statistics of BatchNormalization are from inputs {origin}{real}"] if moments else []
        notes += unmatched("after", self.after, {name for place in there for name in place.names}, "no place for depth")
        steps = (Step(new=tuple(new), settings=changed, forms=forms),)
        return Change(added=tuple(added), kept=tuple(kept), trace=trace, notes=tuple(notes), steps=steps)

    def parts(self, model: ir.Model, proof: Proof, folder: Path | None) -> Sequence[Part]:  # noqa: ARG002
        """Return the places that would take depth, with the tensors behind which they stand, and what reads these."""
        chosen = [place for place, _ in self._choose(places(analyze(model)).found)]

        def names(node: ir.Node) -> Iterator[str]:
            near = {*node.inputs, *node.outputs}
            yield from (place.name for place in chosen if place.value in near)

        return touching(model.graph, names)

    def nothing(self, model: ir.Model, done: Change) -> tuple[str, str]:
        """Return why there is no more depth."""
        found = places(analyze(model))
        reasons = [(each.name, each.reason) for each in done.kept or found.barred]
        none = "it has no activations, no recurrent layers and no residual sums"
        why = f"{reasons[0][0]!r}: {reasons[0][1]}" if reasons else none
        if found.found and not done.kept:
            why = "no place that is chosen is left by `only=` and `without=`"
        hint = "'onnx-n2n inspect' lists the places for depth, and why others are none"
        return f"nothing can be added to the model: {why}", hint

    # --- where

    def _choose(self, there: Sequence[Place]) -> list[tuple[Place, int]]:
        """Return the places to use, and how often each.

        Raises:
            GrowthError: If globs or stages match nothing.
        """
        self.check_names([place.name for place in there])
        found = [place for place in there if self._wants(place)]
        if not found and (self.after or self.stage or self.kind != "auto"):
            wish = " ".join((*self.after, *(f"stage {number}" for number in self.stage))) or self.kind
            raise GrowthError(
                f"there is no place for depth that matches {wish!r}", hint="'onnx-n2n inspect' lists the places"
            )
        if self.kind == "auto":
            first = next((kind for kind in get_args(Kind)[1:] if any(place.kind == kind for place in found)), None)
            found = [place for place in found if place.kind == first]
        found = found[:: self.every]
        taken = list(range(len(found)))
        if self.count and found:
            taken = [number * len(found) // self.count for number in range(self.count)]
        times = Counter(taken)
        return [(found[number], many) for number, many in times.items() if self.takes(found[number].name)]

    def _wants(self, place: Place) -> bool:
        named = not self.after or any(fnmatchcase(name, glob) for glob in self.after for name in place.names)
        staged = not self.stage or place.stage in self.stage
        return named and staged and self.kind in {"auto", place.kind}

    # --- what

    def _add(self, splice: Splice, analysis: Analysis, place: Place, moments: Moments | None) -> Added:
        """Add depth at one place.

        Raises:
            GrowthError: If the kernel does not fit.
        """
        value = place.value
        if place.cell is not None:
            for _ in range(max(1, len(self.kernel))):
                value = stacked(splice, place.cell, value, self.seed)
            what = f"a recurrent layer that adds zero: {place.cell.kind} and a matrix product"
        elif place.near is None:
            copy(splice, analysis, place.block, value)
            branches = "1 residual branch" if len(place.block) == 1 else f"{len(place.block)} residual branches"
            what = f"a copy of a block of {branches} that adds zero"
        else:
            setting = PlaceSettings(analysis, place.near, place.dtype, self.seed)
            kernels = self._kernels(analysis, place)
            for kernel in kernels:
                if place.kind == "identity":
                    value = identity(splice, setting, value, kernel, moments)
                else:
                    value = residual(splice, setting, value, kernel)
            what = _said(place, kernels)
        drift = moments.drift if moments is not None else None
        nodes, weights = tuple(str(node.name) for node in splice.nodes), tuple(str(v.name) for v in splice.weights)
        return Added(place.name, what, nodes, weights, drift)

    def _kernels(self, analysis: Analysis, place: Place) -> list[tuple[int, ...]]:
        assert place.near is not None
        if not place.near.convolves:
            return [()] * max(1, len(self.kernel))
        usual = place.near.kernel
        if not self.kernel:
            axes = [analysis.axes[place.value][axis] for axis in place.near.along]
            return [tuple(_usual(own, size(axis)) for own, axis in zip(usual, axes, strict=True))]
        kernels = [_odd(text) for text in self.kernel]
        for kernel in kernels:
            if len(kernel) != len(usual):
                raise GrowthError(
                    f"a kernel of {len(kernel)} axes does not fit a convolution of {len(usual)}", node=place.name
                )
        return kernels

    def _moments(
        self, analysis: Analysis, chosen: Sequence[tuple[Place, int]], proof: Proof, folder: Path | None
    ) -> tuple[Mapping[ir.Value, Moments], str, str]:
        """Measure what the new norms need; return also where the inputs are from, or why nothing could be measured."""
        wanted = {
            place.value: place.near.axis
            for place, _ in chosen
            if place.near is not None and place.near.norm is not None and place.kind == "identity"
        }
        if not wanted:
            return {}, "", ""
        feeds = None
        if self.calibrate:
            from onnx_n2n.verification import read_inputs

            feeds = read_inputs(Path(self.calibrate))
        try:
            return *measure(analysis.model, wanted, proof, folder, feeds), ""
        except (InputError, ModelError) as failure:
            if self.calibrate or isinstance(failure, TimeLimitError):
                raise
            return {}, "", f"its BatchNormalization needs statistics, and the model could not be run: {failure.reason}"


def _usual(own: int, length: int | None) -> int:
    """Return the kernel of a new layer along one axis: the neighbour's, if that has a middle and is not too long."""
    wanted = min(own, LONGEST) if own % 2 else USUAL
    if length is not None and length < wanted:
        wanted = length - (length + 1) % 2
    return max(wanted, 1)


def _odd(text: str) -> tuple[int, ...]:
    """Read a kernel, ``3x3``.

    Raises:
        OptionError: If it is none, or has no middle.
    """
    found = lengths(text)
    if not all(length % 2 for length in found):
        raise OptionError(f"a kernel of new convolutions has odd lengths, not {text!r}")
    return found


def _said(place: Place, kernels: Sequence[tuple[int, ...]]) -> str:
    """Say what is added."""
    assert place.near is not None
    near = place.near
    kinds = ["x".join(map(str, kernel)) + " convolution" if kernel else near.product for kernel in kernels]
    if near.convolves and near.groups == near.channels > 1:
        kinds = [f"depthwise {kind}" for kind in kinds]
    norm = " with BatchNormalization" if near.norm is not None and place.kind == "identity" else ""
    layers = " and ".join(f"{kind}{norm}, {near.activation.op_type}" for kind in kinds)
    return f"identity: {layers}" if place.kind == "identity" else f"two layers that add zero: {layers}"


def _new(
    weight: ir.Value, place: Place, number: int, like: str, readers: Sequence[tuple[ir.Node, ir.Node]], made: str
) -> New:
    """Say what a new weight is; its readers have their names once they are in the graph."""
    old, copies = (tuple(str(pair[side].name) for pair in readers) for side in (0, 1))
    return New(str(weight.name), _shape(weight), like, old, place.kind, number, copies, made)


def _shape(weight: ir.Value) -> tuple[int, ...]:
    assert weight.const_value is not None
    return tuple(map(int, weight.const_value.shape.numpy()))


def _graph(value: ir.Value, main: ir.Graph) -> ir.Graph:
    producer = value.producer()
    graph = producer.graph if producer is not None else main
    assert isinstance(graph, ir.Graph)
    return graph
