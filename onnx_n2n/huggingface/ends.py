"""The two ends of every growth of a folder: its graph as a teacher, and a new folder of what was verified.

The graph of a pass is only a means. What from_pretrained makes of the new folder is the class with its new config, so
that class is traced anew, given the weights, and compared with the old one: by a run, and by the exact check.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.checkpoint.numbered import renumbered
from onnx_n2n.errors import GrowthError, KernelError, MemoryShortageError, ModelError, VerificationError
from onnx_n2n.huggingface import writing
from onnx_n2n.huggingface.card import card, verification
from onnx_n2n.huggingface.folder import Folder, opened
from onnx_n2n.huggingface.keys import Made, Read, written
from onnx_n2n.huggingface.lineage import between, digest, owned, unfollowed
from onnx_n2n.huggingface.linked import call_alike, model_of
from onnx_n2n.huggingface.loaded import loaded_alike
from onnx_n2n.huggingface.network import Network, built
from onnx_n2n.huggingface.shown import unshown
from onnx_n2n.huggingface.tracing import examples
from onnx_n2n.huggingface.workspace import Workspace, save, workspace
from onnx_n2n.io.folders import named
from onnx_n2n.io.model import load
from onnx_n2n.passes.report import Result
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.record.obstacles import Obstacle, followable
from onnx_n2n.record.record import Record
from onnx_n2n.verification.verdict import Verdict
from onnx_n2n.words import brief

SECONDS = 60.0  # of the exact check where a run has verified already
TEACHER, CLASS = "teacher.onnx", "class.onnx"
Fields = Mapping[str, Any]
NOTHING: Fields = MappingProxyType({})
Weights = Mapping[str, ir.TensorProtocol]


@dataclass(frozen=True)
class Output:
    """Where and how a new folder is written.

    Attributes:
        path: The folder.
        shard_size: How many bytes of tensors a weight file has at most; None for files as they were.
        force: Whether to replace a model that is there.
        progress: Is told each stage as it begins.
        verify_class: Whether from_pretrained loads both models and PyTorch runs them, before the new one is in place.
        earlier: What became of every weight in passes before, of the same run.
        last: Whether no pass of the same run follows: then there is a growth record, of all.
    """

    path: str | PathLike[str]
    shard_size: int | None = None
    force: bool = False
    progress: Progress = unheard
    verify_class: bool = False
    earlier: Record | None = None
    last: bool = True


@dataclass(frozen=True, eq=False)
class Grown:
    """A model in a new folder.

    Attributes:
        written: What was written.
        result: What the pass did to the graph.
        parameters_before: Parameters of the old class, tied ones once.
        parameters_after: Those of the new one.
        run: What running both classes' graphs showed; None if they could not be run.
        exact: What the exact check says of them.
        by_class: What running both in PyTorch showed; None if that was not asked for.
        dropped: Keys of tensors that the class does not have, and that are not in the new folder.
        notes: Why less has grown than was asked for.
        record: What became of every weight, since the first folder of the run.
        obstacles: What keeps checkpoints of that folder's class from following.
    """

    written: writing.Written
    result: Result[Any]
    parameters_before: int
    parameters_after: int
    run: Any
    exact: Any
    by_class: Verdict | None
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    record: Record
    obstacles: tuple[Obstacle, ...]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in self.written.fields.items())
        return f"<Grown: {str(self.written.path)!r}, {fields}>"

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {
            "config": {name: {"before": old, "after": new} for name, (old, new) in self.written.fields.items()},
            "grown": [{"group": each.name, "before": each.before, "after": each.after}
                      for each in self.result.change.grown],
            "parameters": {"before": self.parameters_before, "after": self.parameters_after},
            "verification": None if self.run is None else self.run.to_json(),
            "exact": self.exact.to_json(),
            "class": None if self.by_class is None else self.by_class.to_json(),
            "dropped": self.dropped,
            "left": self.written.left,
            "notes": self.notes,
            "record": self.written.record,
            "followable": followable(self.obstacles),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Teacher:
    """A folder whose graph is known.

    Attributes:
        folder: The folder.
        network: Its class, without weights.
        found: How the class reads its tensors.
        place: Where its weights are as external data.
        analysis: What may grow in its graph.
        inputs: Shapes of an example.
    """

    folder: Folder
    network: Network
    found: Read
    place: Workspace
    analysis: Analysis
    inputs: Mapping[str, tuple[int, ...]]

    @property
    def path(self) -> Path:
        """The file of its graph."""
        return self.place.path / TEACHER

    @property
    def shown(self) -> Set[str]:
        """The names of the tensors on which an output of the graph depends."""
        return {str(name) for name in self.analysis.model.graph.initializers}

    @classmethod
    def read(cls, folder: Folder, place: Workspace) -> Teacher:
        """Trace a folder's class.

        Raises:
            ModelError: It does not export, or the folder is not what it needs.
        """
        network = built(folder.config)
        model, found = model_of(folder, network, place)
        save(model, place.path / TEACHER)
        return cls(folder, network, found, place, analyze(load(place.path / TEACHER)), examples(network.module)[0])


@contextmanager
def taught(folder: str | PathLike[str], output: Output | None = None) -> Iterator[Teacher]:
    """Lend the graph of a folder, as long as its weights are lent as external data.

    Args:
        folder: The folder.
        output: Where a new one is to be written, if one is.

    Raises:
        ModelError: It is no model, or its class does not export, or cannot read it.
        OptionError: Nothing can be written there.
    """
    old, near = opened(folder), None
    if output is not None:
        writing.check_output(old, output.path, force=output.force)
        near = named(Path(output.path)).parent
        output.progress("tracing the class")
    with workspace(old, near) as place:
        yield Teacher.read(old, place)


@dataclass(frozen=True, eq=False)
class Larger:
    """A class that has grown.

    Attributes:
        network: The class, with a config that has the new sizes.
        weights: Its tensors, by the first of their names; those that are not there are as they were.
        sources: For its tensors whose names are new, those that they are made of.
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
    """

    network: Network
    fields: Fields
    folder: Folder
    run: Any
    exact: Any
    by_class: Verdict | None


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


def verified(teacher: Teacher, draft: writing.Draft, larger: Larger, fields: Fields, output: Output) -> Student:
    """Read the draft of a folder by its class with new fields, as any other folder, and compare it with the old one.

    Raises:
        GrowthError: Something that no output shows would change.
        ModelError: The class cannot be built or traced, or would not load all of the folder.
        VerificationError: It does not compute the same, or nobody knows.
    """
    draft.configure(fields)
    folder = opened(draft.path)
    network, weights, sources = built(folder.config), larger.weights, larger.sources
    for name, shape in canonical(network).items():
        old = sources.get(name, name)
        if name not in weights and shape != teacher.network.shapes.get(old):
            raise GrowthError(f"{name!r} would become {list(shape)}, and no output shows what it is for")
    firsts = {name: teacher.network.one.get(source, source) for name, source in sources.items()}
    before, after = unshown(teacher.network, teacher.shown), unshown(network, teacher.shown, firsts)
    if wrong := next((name for name in {**before, **after} if before.get(name) != after.get(name)), None):
        raise GrowthError(f"{wrong!r} would change, and no output shows what that is for")
    output.progress("tracing the class as it becomes")
    place = draft.path.parent
    model, found = model_of(folder, network, Workspace(folder, place, draft.path.name))
    if found.unread:
        kind = type(network.module).__name__
        raise ModelError(f"{kind} would not load {brief(repr(found.unread[0]))} of the new folder")
    call_alike(model, weights)
    save(model, place / CLASS)
    output.progress("verifying")
    run, exact = _compared(teacher, place / CLASS, larger.result, later=output.verify_class)
    by_class = None
    if output.verify_class:
        output.progress("running both in PyTorch")
        by_class = loaded_alike(teacher.folder.path, draft.path, teacher.network, teacher.analysis.model)
        if not by_class.ok:
            said = f"error {by_class.error:.1e}, its own {by_class.rounding}"
            raise VerificationError(f"in PyTorch the new model says something else than the old one: {said}")
    return Student(network, fields, folder, run, exact, by_class)


def canonical(network: Network) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's tensors by the first of their names."""
    return {network.one.get(name, name): shape for name, shape in network.shapes.items()}


def weights_of(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """Return the weights of a graph, by name."""
    found = {str(name): value.const_value for name, value in model.graph.initializers.items()}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


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
        raise VerificationError(f"the class computes something else: error {run.error:.1e}, its own {run.rounding}")
    check = partial(exactly, teacher.path, new, gained=(), record=result.growth, folder=None, running={})
    exact = check(shapes={}, seconds=SECONDS)  # at more lengths than the example has, and longer ones
    if exact.state == "undecided":
        exact = check(shapes=teacher.inputs, seconds=math.inf if run is None else SECONDS)
    if exact.state == "different":
        raise VerificationError(f"the class computes something else: {exact.sentence}")
    if run is None and exact.state != "equal" and not later:
        raise VerificationError(f"it is not known whether the class computes the same: {unrun}; {exact.sentence}",
                                hint="PyTorch can run both folders, with `verify_class=True`")  # fmt: skip
    return run, exact


def write(
    teacher: Teacher, draft: writing.Draft, student: Student, result: Result[Any], output: Output, record: Record, *,
    notes: tuple[str, ...] = (),
) -> Grown:  # fmt: skip
    """Give the draft of a new folder what it lacks.

    Args:
        teacher: The old one.
        draft: The new one, with its weights.
        student: What the class has become.
        result: What the pass did.
        output: What is asked for.
        record: What became of the weights of the graph, which have the names of the class.
        notes: Why less has grown than was asked for.

    Raises:
        ModelError: The disk has no room.
    """
    counts = (parameters(teacher.network), parameters(student.network))
    old, earlier = teacher.folder, output.earlier
    before = digest(old, teacher.found.unread) if earlier is None else earlier.student
    own = between(owned(record, teacher.network.one), before, digest(student.folder))
    record = own if earlier is None else earlier.joined(own)
    barred = unfollowed(record, teacher.network)
    proven = student.run, student.exact, student.by_class
    beside = writing.record_name(old) if output.last else ""
    said = card(old, student.fields, *counts, verification(*proven), beside, barred)
    done = draft.finish(student.fields, record if output.last else None, said)
    return Grown(done, result, *counts, *proven, teacher.found.unread, notes, record, barred)


def parameters(network: Network) -> int:
    """Return how many parameters a network has, tied ones once."""
    return sum(int(each.numel()) for each in network.module.parameters())


def _tensors(teacher: Teacher, larger: Larger) -> tuple[dict[str, writing.Tensor], dict[str, str]]:
    """Return the tensors of the new folder by key, and for keys that are new the old ones that they are like."""
    folder, found = teacher.folder, teacher.found
    doubles: dict[str, list[str]] = {}
    for key, other in found.double.items():
        doubles.setdefault(other, []).append(key)
    tensors: dict[str, writing.Tensor] = {}
    like: dict[str, str] = {}
    for name in canonical(larger.network):
        old = larger.sources.get(name, name)
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
    if not larger.sources:
        yield made.names
        return
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
