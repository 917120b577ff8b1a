"""A new folder before it has a place: its class is traced anew, given the weights, and compared with the old one.

The graph of a pass is only a means. What from_pretrained makes of the new folder is the class with its new config.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.checkpoint.numbered import renumbered
from onnx_n2n.costs.change import CostChange, cost_change
from onnx_n2n.errors import GrowthError, KernelError, MemoryShortageError, ModelError, VerificationError
from onnx_n2n.huggingface import writing
from onnx_n2n.huggingface.configs import Fields, changed
from onnx_n2n.huggingface.folder import Folder, opened
from onnx_n2n.huggingface.keys import Made, written
from onnx_n2n.huggingface.linked import call_alike, keys_read, link, tensors_of
from onnx_n2n.huggingface.loaded import loaded_alike
from onnx_n2n.huggingface.network import Network, built
from onnx_n2n.huggingface.output import Output
from onnx_n2n.huggingface.shown import unshown
from onnx_n2n.huggingface.teacher import Teacher, canonical
from onnx_n2n.huggingface.tracing import traced
from onnx_n2n.huggingface.workspace import Workspace, save
from onnx_n2n.passes.report import Result
from onnx_n2n.verification.verdict import Verdict
from onnx_n2n.words import brief

SECONDS = 60.0  # of the exact check where a run has verified already
FILE = "class.onnx"
Weights = Mapping[str, ir.TensorProtocol]


class ClassDiffersError(VerificationError):
    """The class with its new config and weights computes something else than the old one."""


@dataclass(frozen=True, eq=False)
class Larger:
    """A class that has grown.

    Attributes:
        network: The class, with a config that has the new sizes.
        weights: Its tensors, by the first of their names; those that are not there are as they were.
        sources: What each of its tensors is made of: a tensor of the old class.
        result: What the pass did to the graph.
    """

    network: Network
    weights: Weights
    sources: Mapping[str, str]
    result: Result[Any]

    def weight(self, name: str) -> ir.TensorProtocol | None:
        """Return a tensor by any of its names, None for one that is as it was."""
        return self.weights.get(self.network.one.get(name, name))


@dataclass(frozen=True, eq=False)
class Student:
    """A class with new weights that computes what the old one does.

    Attributes:
        network: The class with its new config.
        fields: What is new in that.
        folder: The draft of the new folder.
        run: What running both classes' graphs showed; None if they could not be run.
        exact: What the exact check says of them.
        by_class: What running both in PyTorch showed; None if that was not asked for.
        cost: The multiply-adds of both classes' graphs; None where they cannot be worked out.
    """

    network: Network
    fields: Fields
    folder: Folder
    run: Any
    exact: Any
    by_class: Verdict | None
    cost: CostChange | None


@contextmanager
def drafted(teacher: Teacher, larger: Larger, output: Output) -> Iterator[writing.Draft]:
    """Lend the draft of a new folder, with all that has grown; it is nowhere else on the disk.

    Raises:
        ModelError: The disk has no room.
    """
    tensors, like = _tensors(teacher, larger)
    apart = [name for made in teacher.found.made for names in _names(made, larger) for name in names]
    beside = sum(weight.nbytes for weight in map(larger.weight, apart) if weight is not None)  # these are in no file
    with writing.drafting(
        teacher.folder, output.path, tensors, like=like, shard_size=output.shard_size, force=output.force,
        beside=beside, progress=output.progress,
    ) as draft:  # fmt: skip
        yield draft


def becoming(teacher: Teacher, fields: Fields, output: Output) -> tuple[Network, ir.Model]:
    """Return a class with new fields, and its graph, which has no weights yet.

    Raises:
        ModelError: The class cannot be built or traced.
    """
    output.progress("tracing the class as it becomes")
    network = built(teacher.network.kind, changed(teacher.network.config, fields))
    return network, traced(network)


def verified(
    teacher: Teacher, draft: writing.Draft, larger: Larger, fields: Fields, graph: ir.Model, output: Output
) -> Student:
    """Read the draft of a folder by its class with new fields, as any other folder, and compare it with the old one.

    Args:
        teacher: The old model.
        draft: The new folder, with its weights.
        larger: The class as it becomes.
        fields: What is new in its config.
        graph: What it computes; it gets the weights.
        output: What is asked for.

    Raises:
        GrowthError: Something that no output shows would change.
        ModelError: The class would not load all of the folder.
        VerificationError: It does not compute the same, or nobody knows.
    """
    draft.configure(fields)
    folder = opened(draft.path)
    network, weights, sources = larger.network, larger.weights, larger.sources
    for name, shape in canonical(network).items():
        if name not in weights and shape != teacher.network.shapes.get(sources[name]):
            raise GrowthError(f"{name!r} would become {list(shape)}, and no output shows what it is for")
    firsts = {name: teacher.network.one.get(source, source) for name, source in sources.items()}
    before, after = unshown(teacher.network, teacher.shown), unshown(network, teacher.shown, firsts)
    if wrong := next((name for name in {**before, **after} if before.get(name) != after.get(name)), None):
        raise GrowthError(f"{wrong!r} would change, and no output shows what that is for")
    place = draft.path.parent
    found = keys_read(network, folder)
    if found.unread:
        kind = network.kind.__name__
        raise ModelError(f"{kind} would not load {brief(repr(found.unread[0]))} of the new folder")
    link(graph, network, tensors_of(network, folder, found, Workspace(folder, place, draft.path.name)))
    call_alike(graph, weights)
    save(graph, place / FILE)
    output.progress("verifying")
    run, exact = _compared(teacher, place / FILE, larger.result, later=output.verify_class)
    by_class = None
    if output.verify_class:
        output.progress("running both in PyTorch")
        by_class = loaded_alike(teacher.folder.path, draft.path, teacher.network, teacher.analysis.model)
        if not by_class.ok:
            said = f"error {by_class.error:.1e}, its own {by_class.rounding}"
            raise VerificationError(f"in PyTorch the new model says something else than the old one: {said}")
    cost = cost_change(teacher.analysis.model, graph, teacher.inputs)
    return Student(network, fields, folder, run, exact, by_class, cost)


def _compared(teacher: Teacher, new: Path, result: Result[Any], *, later: bool) -> tuple[Any, Any]:
    """Run both graphs and compare them exactly; where nobody knows, another run may decide later."""
    # ONNX Runtime takes its time to load, and only this needs it.
    from onnx_n2n.verification import verify
    from onnx_n2n.verification.exactly import exactly

    run, unrun = None, ""
    try:
        run = verify(teacher.path, new, shapes=teacher.inputs)
    except (KernelError, MemoryShortageError) as failure:
        unrun = failure.reason
    if run is not None and not run.ok:
        raise ClassDiffersError(f"the class computes something else: error {run.error:.1e}, its own {run.rounding}")
    check = partial(exactly, teacher.path, new, gained=(), record=result.growth, folder=None, running={})
    exact = check(shapes={}, seconds=SECONDS)  # at more lengths than the example has, and longer ones
    if exact.state == "undecided":
        exact = check(shapes=teacher.inputs, seconds=math.inf if run is None else SECONDS)
    if exact.state == "different":
        raise ClassDiffersError(f"the class computes something else: {exact.sentence}")
    if run is None and exact.state != "equal" and not later:
        raise VerificationError(f"it is not known whether the class computes the same: {unrun}; {exact.sentence}",
                                hint="PyTorch can run both folders, with `verify_class=True`")  # fmt: skip
    return run, exact


def _tensors(teacher: Teacher, larger: Larger) -> tuple[dict[str, writing.Tensor], dict[str, str]]:
    """Return the tensors of the new folder by key, and for keys that are new the old ones that they are like."""
    folder, found = teacher.folder, teacher.found
    doubles: dict[str, list[str]] = {}
    for key, other in found.double.items():
        doubles.setdefault(other, []).append(key)
    tensors: dict[str, writing.Tensor] = {}
    like: dict[str, str] = {}
    for name in canonical(larger.network):
        old = larger.sources[name]
        if old not in found.plain:
            continue
        weight = larger.weight(name)
        tensor = writing.kept(folder, found.plain[old]) if weight is None else writing.of(weight)
        for key in (found.plain[old], *doubles.get(found.plain[old], ())):
            new = renumbered(key, old, name)
            tensors[new], like[new] = tensor, key
    for made in found.made:
        for names in _names(made, larger):
            parts = _parts(folder, larger, replace(made, names=names))
            tensors |= parts
            like |= dict.fromkeys(parts, next(iter(made.keys.values()))[0])
    return tensors, {new: key for new, key in like.items() if new not in folder.tensors}


def _names(made: Made, larger: Larger) -> Iterator[tuple[str, ...]]:
    """Yield the names that parameters have which the class makes of tensors: one for each layer made of theirs."""
    lines = [[new for new, old in larger.sources.items() if old == name] for name in made.names]
    yield from zip(*lines, strict=True)


def _parts(folder: Folder, larger: Larger, made: Made) -> dict[str, writing.Tensor]:
    """Return the tensors of which the class makes parameters, made again of what these have become."""
    weights = {name: weight for name in made.names if (weight := larger.weight(name)) is not None}
    if not weights:
        return {key: writing.kept(folder, key) for keys in made.keys.values() for key in keys}

    def make() -> dict[str, np.ndarray]:
        return written(larger.network, made, {name: weight.numpy() for name, weight in weights.items()})

    def part(key: str) -> ir.TensorProtocol:
        return ir.tensor(make()[key], name=key)

    return {
        key: writing.of(ir.LazyTensor(partial(part, key), ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape)))
        for key, array in make().items()
    }
